"""How the operations of an edge answer together.

sum        every active operation answers, and answers add up by their weights
partial    so do those on one of k channels; the others go around them (Y. Xu et al., PC-DARTS, 2020)
entangled  kernels of different sizes are parts of the largest; what adds up by the weights are the kernels, so that one
           convolution answers for all sizes (R. Sukthanker et al., Weight-entanglement meets gradient-based neural
           architecture search, 2024)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from workers.families.blocks import PathDrop
from workers.families.cell.operations import Kit, Zero, operation

NONE = "none"
Active = tuple[tuple[int, ...], ...]
"""By edge, the indices of operations."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How the edges of one kind of cell answer. `weights` [edges, ops]; `active` are the ops of each edge that are
    computed, and no edge answers without one. `edges` [edges] scale what edges answer.

    `carried`: the weights of the others are added as they are. They are 0, and the gradient reaches them through that
    (X. Dong and Y. Yang, GDAS, 2019).
    """

    weights: Tensor
    active: Active
    edges: Tensor | None = None
    carried: bool = False


Mixes = Mapping[str, Mix]


class MixedEdge(nn.Module):
    """[n, channels, h, w] -> [n, channels, ⌈h / stride⌉, ⌈w / stride⌉]: all of `ops` between two nodes; with `left`
    those of which it is true."""

    def __init__(
        self, kit: Kit, ops: Sequence[str], channels: int, stride: int, left: Sequence[bool] | None = None
    ) -> None:
        super().__init__()
        self.ops = tuple(ops)
        self.left = tuple(index for index in range(len(ops)) if left is None or left[index])
        self.zero = Zero(stride)
        self.drop = PathDrop(0.0)
        self.operations = nn.ModuleDict(
            {str(index): operation(kit, ops[index], channels, stride) for index in self.left if ops[index] != NONE}
        )

    def forward(self, x: Tensor, mix: Mix, edge: int) -> Tensor:
        weights = mix.weights[edge].unbind()
        active = mix.active[edge]
        answers = self.answers(x, weights, [index for index in active if self.ops[index] != NONE])
        out: Tensor = answers[0] if answers else self.zero(x)
        for answer in answers[1:]:
            out = out + answer
        if mix.carried and len(active) < len(weights):
            out = out + torch.stack([weight for index, weight in enumerate(weights) if index not in active]).sum()
        if mix.edges is not None:
            out = out * mix.edges[edge]
        return out

    def answers(self, x: Tensor, weights: Sequence[Tensor], active: Sequence[int]) -> list[Tensor]:
        found = []
        for index in active:
            module = self.operations[str(index)]
            answer = module(x)
            # an identity is never dropped
            found.append(weights[index] * (answer if isinstance(module, nn.Identity) else self.drop(answer)))
        return found


class PartialEdge(nn.Module):
    """The first 1 / k of the channels are mixed; the others go by, over 2×2 maxima where the sides are halved. Then the
    channels are dealt anew, so that the next edge mixes others."""

    def __init__(
        self, kit: Kit, ops: Sequence[str], channels: int, stride: int, k: int, left: Sequence[bool] | None = None
    ) -> None:
        super().__init__()
        assert channels % k == 0, "a kth of the channels is a whole number of them"
        self.k, self.mixed = k, channels // k
        self.inner = MixedEdge(kit, ops, self.mixed, stride, left)
        self.past = nn.Identity() if stride == 1 else nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, x: Tensor, mix: Mix, edge: int) -> Tensor:
        if not mix.active[edge]:
            nothing: Tensor = self.inner.zero(x)
            return nothing
        mixed = self.inner(x[:, : self.mixed], replace(mix, edges=None), edge)
        # with k = 1 no channel goes by
        out = mixed if self.k == 1 else shuffled(torch.cat([mixed, self.past(x[:, self.mixed :])], dim=1), self.k)
        return out if mix.edges is None else out * mix.edges[edge]


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels [0..7] in 4 groups become 0 2 4 6 1 3 5 7."""
    n, channels, *sides = x.shape
    return x.reshape(n, groups, channels // groups, *sides).transpose(1, 2).reshape(n, channels, *sides)


class EntangledEdge(MixedEdge):
    """Operations that differ in the size of their kernels alone are one module, of the largest."""

    def __init__(
        self, kit: Kit, ops: Sequence[str], channels: int, stride: int, left: Sequence[bool] | None = None
    ) -> None:
        super().__init__(kit, ops, channels, stride, left)
        self.groups = entangled_groups({index: ops[index] for index in self.left})
        for group in self.groups:
            largest = max(group, key=lambda index: group[index])
            for index in group.keys() - {largest}:
                del self.operations[str(index)]

    def answers(self, x: Tensor, weights: Sequence[Tensor], active: Sequence[int]) -> list[Tensor]:
        grouped = {index for group in self.groups for index in group}
        found = super().answers(x, weights, [index for index in active if index not in grouped])
        for group in self.groups:
            members = [index for index in active if index in group]
            if members:
                share = torch.stack([weights[index] for index in members]).sum()
                ratios = [(group[index], weights[index] / share) for index in members]
                module = self.operations[str(max(group, key=lambda index: group[index]))]
                assert isinstance(module, nn.Sequential), "what has kernels is a sequence of layers"
                found.append(share * self.drop(entangled(module, x, ratios, max(group.values()))))
        return found


def entangled_groups(ops: Mapping[int, str]) -> list[Mapping[int, int]]:
    """Of operations that are alike but for the size of their kernel: from the index of each to the size."""
    kinds: dict[str, dict[int, int]] = {}
    for index, name in ops.items():
        if match := re.fullmatch(r"(\w+_conv)_(\d)x\2", name):
            kinds.setdefault(match[1], {})[index] = int(match[2])
    return [group for group in kinds.values() if len(group) > 1]


def entangled(layers: nn.Sequential, x: Tensor, ratios: Sequence[tuple[int, Tensor]], largest: int) -> Tensor:
    """The layers with kernels Σ r_k crop_k(W) in place of W, whose side is `largest`."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (largest, largest):
            kernel = entangled_kernel(layer.weight, ratios)
            x = nn.functional.conv2d(x, kernel, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
        else:
            x = layer(x)
    return x


def entangled_kernel(weight: Tensor, ratios: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Σ r_k crop_k(W), where crop_k keeps the k×k numbers in the middle of `weight` [..., side, side]."""
    side = weight.shape[-1]
    shown = torch.zeros(side, side, dtype=weight.dtype, device=weight.device)
    for size, ratio in ratios:
        margin = (side - size) // 2
        middle = torch.zeros_like(shown)
        middle[margin : side - margin, margin : side - margin] = 1
        shown = shown + ratio * middle
    return weight * shown
