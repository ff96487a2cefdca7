"""From entries of type `cell` to plain parameters, and back from plain parameters to the architecture they make up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spaces.architectures.base import Architecture
from spaces.architectures.chain import Chain
from spaces.architectures.darts import Darts
from spaces.architectures.hierarchical import Hierarchical
from spaces.architectures.nas_bench_201 import NasBench201
from spaces.architectures.nasnet import NasNet
from spaces.checks import Fields, unknown
from spaces.domain import Choices
from spaces.errors import InvalidInput, Path, Problem
from spaces.parameters import Constant
from spaces.structure import MAX_PARAMETERS
from spaces.values import Config, Value, kind

if TYPE_CHECKING:
    from spaces.space import Space

TYPE = "cell"
MAX_NAME = 60  # the names of the choices are longer
PRESETS: tuple[type[Architecture], ...] = (NasBench201, Darts, NasNet, Hierarchical, Chain)
ARCHITECTURES: Mapping[str, type[Architecture]] = {cls.preset: cls for cls in PRESETS}


@dataclass(frozen=True)
class Expansion:
    """A space whose cells are written out. `places[i]` is the index of the user's entry that parameter i comes from;
    `problems` are those of the cells themselves. An entry that cannot be understood at all is left out."""

    space: object
    places: tuple[int, ...]
    problems: tuple[Problem, ...]

    def seen(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems of the written-out space at the entries that the user wrote; one for all choices of a cell."""
        found: dict[Path, Problem] = {}
        alone = Counter(self.places)
        kept: list[Problem] = []
        for problem in problems:
            match problem.path:
                case ("parameters", int(index), *rest) if index < len(self.places):
                    place = self.places[index]
                    if alone[place] == 1:
                        kept.append(Problem(("parameters", place, *rest), problem.message))
                    else:
                        found.setdefault(("parameters", place), Problem(("parameters", place), problem.message))
                case _:
                    kept.append(problem)
        return [*kept, *found.values()]


def expanded(space: object) -> Expansion:
    """What is no cell, or no space at all, is left as it is: others tell what is wrong with it."""
    if not isinstance(space, Mapping) or not isinstance(entries := space.get("parameters"), list | tuple):
        return Expansion(space, (), ())
    written: list[object] = []
    places: list[int] = []
    problems: list[Problem] = []
    for index, item in enumerate(entries):
        parameters: Sequence[object] = [item]
        # what is too long is refused by the reader of spaces: it need not become longer
        if isinstance(item, Mapping) and item.get("type") == TYPE and len(written) <= MAX_PARAMETERS:
            architecture = read_entry(item, ("parameters", index), problems)
            parameters = [] if architecture is None else architecture.parameters()
        written += parameters
        places += [index] * len(parameters)
    return Expansion({**space, "parameters": written}, tuple(places), tuple(problems))


def written_out(space: Any) -> tuple[Any, tuple[int, ...]]:
    """The space with plain parameters in place of its cells, and for each of them the index of the entry that it comes
    from. Raises InvalidInput when a cell cannot be understood; what else is wrong with the space is not looked at."""
    found = expanded(space)
    if found.problems:
        raise InvalidInput(found.problems)
    return found.space, found.places


def read_entry(item: Mapping[str, object], path: Path, problems: list[Problem]) -> Architecture | None:
    """The architecture of an entry, with the defaults in place of what is wrong; None without a name and a preset."""
    read = Fields(item)
    name = read.name()
    if name is not None and len(name) > MAX_NAME:
        read.wrong("name", f"of a cell must have at most {MAX_NAME} characters: its choices are named after it")
    preset = None if read.absent("preset") else read.raw("preset")
    architecture = None
    if isinstance(preset, str) and preset in ARCHITECTURES:
        read_as = ARCHITECTURES[preset].read(read, name or "cell")
        architecture = read_as if read.sound("name") else None
    elif read.sound("preset"):
        read.wrong("preset", unknown("preset", preset, ARCHITECTURES))
    problems += [problem.under(*path) for problem in read.problems]
    return architecture


def of_entry(entry: object) -> Architecture:
    """The architecture of one entry of type `cell`, as `Architecture.entry` writes it; raises InvalidInput."""
    if not isinstance(entry, Mapping):
        raise InvalidInput.at((), f'must be an object such as {{"name": "cell", "preset": "darts"}}, got {kind(entry)}')
    problems: list[Problem] = []
    architecture = read_entry(entry, (), problems)
    if problems or architecture is None:
        raise InvalidInput(problems)
    return architecture


@lru_cache(maxsize=64)
def of_space(space: Space) -> Architecture | None:
    """The architecture that parameters of the space make up, None when there is none: a constant with the name of a
    preset, and just its choices under the constant's name. Choices may be fewer than the preset's, or constants."""
    for constant in space:
        if isinstance(constant, Constant) and isinstance(constant.value, str) and constant.value in ARCHITECTURES:
            prefix = f"{constant.name}."
            possible: dict[str, Sequence[Value]] = {}
            for parameter in space:
                if parameter.name.startswith(prefix):
                    domain = parameter.domain
                    possible[parameter.name[len(prefix) :]] = domain.values if isinstance(domain, Choices) else ()
            found = ARCHITECTURES[constant.value].recognised(constant.name, possible, whole=True)
            if found is not None:
                return found
    return None


def of_config(config: Config) -> Architecture | None:
    """The architecture that a config is one of, with all operations of its preset; None when it is of none."""
    for name, value in config.items():
        if not isinstance(value, str) or value not in ARCHITECTURES:
            continue
        possible = {key[len(name) + 1 :]: (each,) for key, each in config.items() if key.startswith(f"{name}.")}
        if (found := ARCHITECTURES[value].recognised(name, possible, whole=False)) is not None:
            return found
    return None
