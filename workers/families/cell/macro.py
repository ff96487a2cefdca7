"""The networks around cells: how many there are, how wide they are, where images get smaller.

stages     three stages of equal cells, between them a residual block that halves the sides and doubles the maps
           (X. Dong and Y. Yang, NAS-Bench-201, 2020); hierarchical cells, which keep shapes as well, lie in it too
reductions normal cells, and at one and two thirds of the depth cells that halve the sides and double the maps; every
           cell reads the two before it (B. Zoph et al., Learning transferable architectures, 2018; H. Liu, K. Simonyan
           and Y. Yang, DARTS, 2019)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set

from torch import Tensor, nn

from workers.families.blocks import Dropout, infeasible
from workers.families.cell import sizes
from workers.families.cell.cells import Cell, EdgeMaker, Form
from workers.families.cell.operations import Halved, Kit, convolved
from workers.families.convolutions import GlobalAverage

Mixes = Mapping[str, object]
Forms = Mapping[str, Form]
"""By the kind of a cell."""
EdgesOf = Callable[[str, int], EdgeMaker]
"""From the kind of a cell and the maps of its nodes to what makes its edges."""

AUXILIARY = (128, 768)  # maps of the two convolutions of the auxiliary head


class Around(nn.Module, ABC):
    """[n, channels, h, w] -> [n, outputs] logits. `mixes` says by the kind of cell how its edges answer."""

    def __init__(self, kit: Kit, forms: Forms, edges_of: EdgesOf) -> None:
        super().__init__()
        self.kit, self.forms, self.edges_of = kit, forms, edges_of
        self.kinds: list[str] = []

    def cell(self, kind: str, prepare: Sequence[nn.Module], channels: int, stride: int) -> Cell:
        self.kinds.append(kind)
        form = self.forms[kind]
        narrow = {
            node: convolved(self.kit, form.edges_to(node) * channels, channels, (1, 1)) for node in sorted(form.beside)
        }
        return Cell(form, prepare, narrow, stride, self.edges_of(kind, channels))

    def cells_by_kind(self) -> list[tuple[str, Cell]]:
        """The cells in their order, each with its kind."""
        cells = [module for module in self.modules() if isinstance(module, Cell)]
        return list(zip(self.kinds, cells, strict=True))

    def stem(self, inputs: int, outputs: int) -> nn.Sequential:
        """A convolution; where images are large, others before it that halve the sides."""
        factor, layers = self.kit.settings["stem"], list[nn.Module]()
        while factor > 1:
            layers += [*self.entry(inputs, outputs, 2), self.kit.activation()]
            inputs, factor = outputs, factor // 2
        return nn.Sequential(*layers, *self.entry(inputs, outputs, 1))

    def entry(self, inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = self.kit.convolution(inputs, outputs, (3, 3), (stride, stride), 1, 1)
        return [conv, self.kit.outer_norm(outputs)]

    def classifier(self, channels: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(GlobalAverage(), Dropout(self.kit.settings["dropout"]), nn.Linear(channels, outputs))

    @abstractmethod
    def forward(self, x: Tensor, mixes: Mixes | None = None) -> Tensor: ...

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits, and those of the auxiliary head, if there is one."""
        return self(x), None


class Stages(Around):
    """`layers` cells per stage."""

    def __init__(self, kit: Kit, forms: Forms, edges_of: EdgesOf, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(kit, forms, edges_of)
        settings = kit.settings
        if reason := sizes.objection(settings, shape, reducing=False):
            raise infeasible(reason)
        channels = settings["channels"]
        self.first = self.stem(shape[0], channels)
        self.parts = nn.ModuleList()
        for stage in range(sizes.STAGES):
            if stage:
                self.parts.append(Reduction(kit, channels, 2 * channels))
                channels *= 2
            self.parts.extend(self.cell("cell", [nn.Identity()], channels, 1) for _ in range(settings["layers"]))
        self.last = nn.Sequential(kit.outer_norm(channels), kit.activation())
        self.head = self.classifier(channels, outputs)

    def forward(self, x: Tensor, mixes: Mixes | None = None) -> Tensor:
        x = self.first(x)
        for part in self.parts:
            x = part(x, mix=None if mixes is None else mixes["cell"]) if isinstance(part, Cell) else part(x)
        out: Tensor = self.head(self.last(x))
        return out


class Reduction(nn.Module):
    """[n, inputs, h, w] -> [n, outputs, ⌈h / 2⌉, ⌈w / 2⌉]: two convolutions, and around them means of 2×2 positions."""

    def __init__(self, kit: Kit, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *self._half(kit, inputs, outputs, 2),
            *self._half(kit, outputs, outputs, 1),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2, ceil_mode=True), kit.convolution(inputs, outputs, (1, 1), (1, 1), 1, 1)
        )

    @staticmethod
    def _half(kit: Kit, inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = kit.convolution(inputs, outputs, (3, 3), (stride, stride), 1, 1)
        return [kit.activation(), conv, kit.outer_norm(outputs)]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.branch(x)
        return out


class Reductions(Around):
    """`layers` cells in all. A cell that no other reads is left out, and so is what would prepare an input that a cell
    does not read."""

    def __init__(self, kit: Kit, forms: Forms, edges_of: EdgesOf, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(kit, forms, edges_of)
        settings = kit.settings
        layers, channels = settings["layers"], settings["channels"]
        if reason := sizes.objection(settings, shape, reducing=True):
            raise infeasible(reason)
        reducing = sizes.reductions(layers)
        before = last = 3 * channels
        self.first = self.stem(shape[0], last)
        kinds = ["reduce" if layer in reducing else "normal" for layer in range(layers)]
        self.cells, self.layers, self.auxiliary_at = nn.ModuleDict(), layers, 2 * layers // 3
        with_auxiliary = settings["auxiliary"] > 0 and not kit.shared
        read = self._read(kinds, {layers - 1, self.auxiliary_at} if with_auxiliary else {layers - 1})
        halved, auxiliary = False, None
        for layer, kind in enumerate(kinds):
            form, stride = forms[kind], 2 if kind == "reduce" else 1
            channels *= stride
            if layer in read:
                prepare: list[nn.Module] = [nn.Identity(), nn.Identity()]
                if 0 in form.read:
                    prepare[0] = Halved(kit, before, channels) if halved else convolved(kit, before, channels, (1, 1))
                if 1 in form.read:
                    prepare[1] = convolved(kit, last, channels, (1, 1))
                self.cells[str(layer)] = self.cell(kind, prepare, channels, stride)
            before, last, halved = last, channels * form.widening, stride == 2
            if with_auxiliary and layer == self.auxiliary_at:
                auxiliary = Auxiliary(kit, last, sides_of(shape, sizes.halved(settings, reducing=True)), outputs)
        self.auxiliary = auxiliary
        self.head = self.classifier(last, outputs)

    def _read(self, kinds: Sequence[str], classified: Set[int]) -> set[int]:
        """The cells that lead to one of which is classified, and these. Input 0 of a cell is the one two before it."""
        read = set(classified)
        for layer in reversed(range(len(kinds))):
            if layer in read:
                read |= {layer - 2 + place for place in self.forms[kinds[layer]].read}
        return read

    def forward(self, x: Tensor, mixes: Mixes | None = None) -> Tensor:
        out: Tensor = self.head(self._states(x, mixes)[-1])
        return out

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        states = self._states(x, None)
        return self.head(states[-1]), self.auxiliary(states[self.auxiliary_at + 2]) if self.auxiliary else None

    def _states(self, x: Tensor, mixes: Mixes | None) -> list[Tensor]:
        x = self.first(x)
        states = [x, x]
        kinds = iter(self.kinds)
        for layer in range(self.layers):
            if str(layer) in self.cells:
                kind = next(kinds)
                states.append(self.cells[str(layer)](*states[-2:], mix=None if mixes is None else mixes[kind]))
            else:
                states.append(states[-1])  # nothing reads it
        return states


class Auxiliary(nn.Sequential):
    """A second classifier in the middle of the network, for training alone (C. Szegedy et al., Going deeper with
    convolutions, 2015). It reads 2×2 means of its maps."""

    def __init__(self, kit: Kit, channels: int, sides: tuple[int, ...], outputs: int) -> None:
        windows = [1 if side <= 2 else side // 2 + 1 for side in sides]
        steps = [max(1, side - window) for side, window in zip(sides, windows, strict=True)]
        kernel = [min(2, side) for side in sides]
        narrow, wide = AUXILIARY
        super().__init__(
            kit.activation(),
            nn.AvgPool2d((windows[0], windows[1]), (steps[0], steps[1])),
            nn.Conv2d(channels, narrow, 1, bias=kit.bias),
            kit.outer_norm(narrow),
            kit.activation(),
            nn.Conv2d(narrow, wide, (kernel[0], kernel[1]), bias=kit.bias),
            kit.outer_norm(wide) if kit.settings["norm"] != "instance" else nn.Identity(),  # one position is left
            kit.activation(),
            nn.Flatten(),
            nn.Linear(wide, outputs),
        )


def sides_of(shape: tuple[int, ...], halvings: int) -> tuple[int, ...]:
    """The sides of the maps after so many halvings, each rounded up."""
    return tuple(-(-side // 2**halvings) for side in shape[1:])
