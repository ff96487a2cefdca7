"""The scale on which a network reads its inputs: the first layer of every trained model, fitted on the training
examples alone.

    none       x as it is
    standard   (x - mean) / deviation, of each feature or channel
    minmax     (x - low) / (high - low), so that training examples lie in [0, 1]
    whiten     (C + eps)^(-1/2) (z - c) of standardized inputs z with mean c and covariance C: what differs least from
               z among all that has no correlations  (A. Bell and T. Sejnowski, The independent components of natural
               scenes are edge filters, 1997). eps keeps those directions small that hold little but noise
    gcn        (x - m) / √(v + eps), mean and variance of each image
    lcn        (x - m) / max(s, mean s), m and s of each pixel's surroundings  (K. Jarrett et al., What is the best
               multi-stage architecture for object recognition?, 2009)

Being a layer, it travels in the checkpoint: what is evaluated later is scaled as the training was. What is missing
(NaN) becomes the mean of the training examples first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from workers.families.failures import infeasible
from workers.training.settings import Settings

PART = 4096
MOST_WHITENED = 4096  # inputs: the matrix has their square

Reading = Callable[[Tensor], Tensor]


def preprocessing_of(settings: Settings, shape: tuple[int, ...]) -> Standardize:
    """The layer that the settings ask for, for inputs [n, *shape]. Raises Failure INFEASIBLE."""
    eps: float = settings.get("preprocessing_eps", 1e-2)
    match settings.get("preprocessing", "standard"):
        case "standard":
            return Standardize(shape)
        case "none":
            return Unscaled(shape)
        case "minmax":
            return MinMax(shape)
        case "whiten":
            return Whiten(shape, eps)
        case "gcn":
            return GlobalContrast(shape, eps)
        case "lcn":
            return LocalContrast(shape, settings["lcn_window"])
        case unknown:
            raise AssertionError(f"no preprocessing {unknown!r}")


class Standardize(nn.Module):
    """(x - mean) / deviation: per channel of an image [channels, height, width], per feature of a table [features] or
    of a sequence [steps, features]. A constant feature is only centred.

    All other layers here are fitted in this way, too: `deviation` says how much inputs vary, whatever becomes of them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.axis = 1 if len(shape) != 2 else 2
        size = (1, shape[1]) if len(shape) == 2 else (shape[0], *(1 for _ in shape[1:]))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, inputs: Tensor, read: Reading = lambda part: part) -> None:
        """`inputs` [n, *shape], wherever they are; or what `read` makes of them, some examples at a time, here."""

        # part by part: in float64 a copy of all would take more than the inputs themselves
        def parts() -> Iterator[Tensor]:
            return (read(part.to(self.mean.device)) for part in torch.split(inputs, PART))

        over = [axis for axis in range(self.mean.ndim + 1) if axis != self.axis]
        sums = [((~part.isnan()).sum(dim=over), part.double().nansum(dim=over)) for part in parts()]
        count, total = (torch.stack(column).sum(dim=0) for column in zip(*sums, strict=True))
        mean = (total / count).nan_to_num().reshape(self.mean.shape)
        squares = torch.stack([(part.double() - mean).square().nansum(dim=over) for part in parts()]).sum(dim=0)
        deviation = (squares / count).sqrt().nan_to_num()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation == 0, 1, deviation).reshape(self.deviation.shape))
        self.fit_more(parts)

    def fit_more(self, parts: Callable[[], Iterator[Tensor]]) -> None:
        """What else is to be known of the examples, which come part by part [n, *shape]."""

    def standardized(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.deviation).nan_to_num(nan=0.0)

    def filled(self, x: Tensor) -> Tensor:
        return torch.where(x.isnan(), self.mean, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.standardized(x)


class Unscaled(Standardize):
    def forward(self, x: Tensor) -> Tensor:
        return self.filled(x)


class MinMax(Standardize):
    """A constant feature is 0."""

    low: Tensor
    span: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.register_buffer("low", torch.zeros_like(self.mean))
        self.register_buffer("span", torch.ones_like(self.mean))

    def fit_more(self, parts: Callable[[], Iterator[Tensor]]) -> None:
        over = [axis for axis in range(self.mean.ndim + 1) if axis != self.axis]
        # the missing are in the middle: they neither lower nor raise
        ends = [(part.amin(dim=over), part.amax(dim=over)) for part in map(self.filled, parts())]
        low, high = (torch.stack(column) for column in zip(*ends, strict=True))
        least, span = low.amin(dim=0), high.amax(dim=0) - low.amin(dim=0)
        self.low.copy_(least.reshape(self.low.shape))
        self.span.copy_(torch.where(span > 0, span, 1).reshape(self.span.shape))

    def forward(self, x: Tensor) -> Tensor:
        return (self.filled(x) - self.low) / self.span


class Whiten(Standardize):
    """All inputs of an image or of a table's row together, the features of each step of a sequence."""

    centre: Tensor
    matrix: Tensor

    def __init__(self, shape: tuple[int, ...], eps: float) -> None:
        super().__init__(shape)
        self.eps, self.stepwise = eps, len(shape) == 2
        size = shape[1] if self.stepwise else torch.Size(shape).numel()
        if size > MOST_WHITENED:
            raise infeasible(
                f"to whiten {size} inputs takes a matrix of their square; {MOST_WHITENED} inputs at most: choose "
                "another preprocessing"
            )
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("matrix", torch.eye(size))

    def rows(self, x: Tensor) -> Tensor:
        """[n, *shape] -> [n or n · steps, size]"""
        return self.standardized(x).flatten(0, 1) if self.stepwise else self.standardized(x).flatten(1)

    def fit_more(self, parts: Callable[[], Iterator[Tensor]]) -> None:
        count, total, gram = 0, self.centre.double().zero_(), self.matrix.double().zero_()
        for rows in (self.rows(part).double() for part in parts()):
            count += len(rows)
            total += rows.sum(dim=0)
            gram += rows.T @ rows
        centre = total / count
        variances, directions = torch.linalg.eigh(gram / count - torch.outer(centre, centre))
        self.centre.copy_(centre)
        # rounding may leave a variance of 0 a little below
        self.matrix.copy_(directions * (variances.clamp(min=0) + self.eps).rsqrt() @ directions.T)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return ((self.rows(x) - self.centre) @ self.matrix).reshape(x.shape)


class GlobalContrast(Standardize):
    """Over all channels and pixels of an image."""

    def __init__(self, shape: tuple[int, ...], eps: float) -> None:
        super().__init__(shape)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.filled(x), dim=(1, 2, 3), correction=0, keepdim=True)
        return (self.filled(x) - mean) * (variance + self.eps).rsqrt()


class LocalContrast(Standardize):
    """Surroundings fade out as a Gaussian with a deviation of a quarter of the window, over all channels; beyond the
    image there is nothing."""

    window: Tensor

    def __init__(self, shape: tuple[int, ...], side: int) -> None:
        super().__init__(shape)
        away = torch.arange(side) - side // 2
        fading = torch.exp(-0.5 * (away / (side / 4)).square())
        self.register_buffer("window", fading[:, None] * fading)

    def around(self, x: Tensor) -> Tensor:
        """[n, channels, h, w] -> [n, 1, h, w]: the mean over each pixel's surroundings."""
        planes, kernel, half = x.mean(dim=1, keepdim=True), self.window[None, None], len(self.window) // 2
        mass = conv2d(torch.ones_like(planes[:1]), kernel, padding=half)
        return conv2d(planes, kernel, padding=half) / mass

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = self.filled(x)
            centred = x - self.around(x)
            deviation = self.around(centred.square()).sqrt()
            usual = deviation.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
            return centred / torch.maximum(deviation, usual)
