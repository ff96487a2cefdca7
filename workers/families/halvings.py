"""Which images are too small for a network that halves their sides. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from spaces.values import scalar_objection, token
from workers.training.hyperparameters import Hyperparameter

MOST = 64  # values of a number that are looked at


def objection(settings: Mapping[str, Any], shape: tuple[int, ...], times: int, remedy: str) -> str | None:
    """Why an image [channels, height, width] cannot be halved so often: it has too few pixels, or a norm is left with
    single numbers: maps of one pixel, with norm batch in batches that may hold one example. None where it can."""
    _, height, width = shape
    least = 2**times
    if min(height, width) < least:
        return (
            f"the network halves the image {times} times, which takes {least}×{least} pixels at least, "
            f"not {height}×{width}: {remedy}"
        )
    one_pixel = max(height, width) < 2 * least
    few = settings["norm"] == "batch" and settings["batch_size"] < 3
    if one_pixel and (few or settings["norm"] == "instance"):
        need = f"a batch_size of 3 at least, not {settings['batch_size']}" if few else "more than one"
        return (
            f"halved {times} times, maps have one pixel each, and norm {settings['norm']} needs {need}: "
            f"take another norm, or {remedy}"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class Halvings:
    """How often a family's network halves the image: `times` of settings, of which it `reads` these."""

    times: Callable[[Mapping[str, Any]], int]
    reads: tuple[str, ...]

    def constraints(
        self, shape: tuple[int, ...], parameters: Sequence[Mapping[str, Any]], known: Mapping[str, Hyperparameter]
    ) -> Iterator[dict[str, Any]]:
        """As constraints of the space with these parameters (as written on the wire): the configs that an image
        [channels, height, width] is too small for, and those that leave norm instance single numbers. What the space
        does not name has its default. Where a parameter is written so that nothing can be told, there are none."""
        written = {parameter["name"]: parameter for parameter in parameters}
        *choices, number = self.reads
        values = {name: _values(written.get(name), known[name]) for name in (*self.reads, "norm")}
        if not all(values.values()):
            return
        defaults = {name: each.default for name, each in known.items()}
        for chosen in product(*(values[name] for name in choices)):
            settings = {**defaults, **dict(zip(choices, chosen, strict=True))}
            idle = [name for name in choices if not _active(written.get(name, {}), settings)]
            if any(settings[name] != values[name][0] for name in idle):
                continue  # one of them stands for all that is not read
            active = [name for name in choices if name not in idle]
            times = {value: self.times({**settings, number: value}) for value in values[number]}
            small = [value for value in times if 2 ** times[value] > min(shape[1:])]
            single = [value for value in times if value not in small and 2 ** (times[value] + 1) > max(shape[1:])]
            chosen_here = {name: [settings[name]] for name in active}
            wrong: list[dict[str, list[Any]]] = [{**chosen_here, number: small}] if small else []
            if single and "instance" in values["norm"]:
                wrong.append({**chosen_here, number: single, "norm": ["instance"]})
            for each in wrong:
                # what is always so need not be said, and cannot be of what the space does not name
                said = [_one_of(name, some) for name, some in each.items() if len(some) < len(values[name])]
                if said:
                    yield {"forbid": said[0] if len(said) == 1 else {"all": said}}


def _one_of(name: str, values: Sequence[Any]) -> dict[str, Any]:
    return {"parameter": name, **({"equals": values[0]} if len(values) == 1 else {"in": list(values)})}


def _active(parameter: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """As far as can be told: a condition of the user's own may say anything."""
    match parameter.get("when"):
        case {"parameter": str(parent), "equals": operand}:
            operands = [operand]
        case {"parameter": str(parent), "in": [*operands]}:
            pass
        case _:
            return True
    wanted = {token(operand) for operand in operands if scalar_objection(operand) is None}
    return parent not in settings or token(settings[parent]) in wanted


def _values(parameter: Mapping[str, Any] | None, known: Hyperparameter) -> Sequence[Any]:
    """What it may be; nothing where these are too many, or some are none that it can take."""
    match parameter:
        case None:
            return [known.default]
        case {"type": "constant", "value": value}:
            values: Sequence[Any] = [value]
        case {"choices": [*choices]}:
            values = choices
        case {"type": "int", "low": int(low), "high": int(high)} if high - low < MOST:
            values = range(low, high + 1)
        case _:
            return []
    sound = all(scalar_objection(value) is None and known.objection(value) is None for value in values)
    return [known.read(value) for value in values] if sound else []
