"""The U-Net  (O. Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, 2015)

    h₀ = conv² x,  hᵢ = conv² pool hᵢ₋₁        down: halve the image, double the maps
    u_d = h_d,     uᵢ = conv² (up uᵢ₊₁ ⊕ hᵢ)   up again; ⊕ is the merge
    logits = 1×1 conv u₀

Convolutions keep the size, so that the answer is as large as the image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, Settings
from workers.families.convolutions import check_halvings, convolved
from workers.families.unet import halvings
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.segmentation import Segmenter


def build(settings: Settings, facts: Facts) -> Learner:
    check_halvings(settings, facts.shape, halvings(settings), "take a smaller depth")
    return Segmenter(UNet(settings, facts.shape[0], facts.outputs), settings, facts)


class UNet(nn.Module):
    """[n, channels, h, w] -> [n, outputs, h, w]"""

    def __init__(self, settings: Settings, channels: int, outputs: int) -> None:
        super().__init__()
        depth = settings["depth"]
        widths = [settings["base"] * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            pair(settings, inputs, width) for inputs, width in zip([channels, *widths], widths[:-1], strict=False)
        )
        bottom = (2, 4) if settings["dilate"] else (1, 1)
        self.bottom = nn.Sequential(pair(settings, widths[-2], widths[-1], bottom), Dropout(settings["dropout"]))
        self.up = nn.ModuleList(Up(settings, widths[level + 1], widths[level]) for level in reversed(range(depth)))
        self.head = nn.Conv2d(widths[0], outputs, 1)
        self.least = 2**depth

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        # every halving wants an even side: repeat the last row and column, and cut the answer
        x = nn.functional.pad(x, (0, -width % self.least, 0, -height % self.least), mode="replicate")
        bridges = []
        for level in self.down:
            bridges.append(level(x))
            x = nn.functional.max_pool2d(bridges[-1], 2)
        x = self.bottom(x)
        for up, bridge in zip(self.up, reversed(bridges), strict=True):
            x = up(x, bridge)
        answer: Tensor = self.head(x)
        return answer[:, :, :height, :width]


def pair(settings: Settings, inputs: int, outputs: int, dilations: tuple[int, int] = (1, 1)) -> nn.Sequential:
    first, second = dilations
    return nn.Sequential(
        convolved(settings, inputs, outputs, 3, dilation=first),
        convolved(settings, outputs, outputs, 3, dilation=second),
    )


class Up(nn.Module):
    """[n, inputs, h, w] and the bridge [n, outputs, 2h, 2w] -> [n, outputs, 2h, 2w]"""

    def __init__(self, settings: Settings, inputs: int, outputs: int) -> None:
        super().__init__()
        self.merge = settings["merge"]
        if settings["up"] == "transposed":
            self.grow: nn.Module = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        else:
            self.grow = nn.Sequential(nn.Upsample(scale_factor=2), convolved(settings, inputs, outputs, 3))
        self.refine = pair(settings, 2 * outputs if self.merge == "concat" else outputs, outputs)

    def forward(self, x: Tensor, bridge: Tensor) -> Tensor:
        x = self.grow(x)
        match self.merge:
            case "concat":
                x = torch.cat([bridge, x], dim=1)
            case "add":
                x = bridge + x
        refined: Tensor = self.refine(x)
        return refined
