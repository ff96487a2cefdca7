"""What does not go together: as constraints of a preset's space, and as the reason why a config cannot be trained.

Combination.conditions   all of them hold, and the parameters in them are active
Combination.possible     such a config can be trained, but another one is the same training, or a better one: the
                         preset's spaces leave it out, and a space of the user's own may have it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces.values import scalar_objection, token
from workers.training.hyperparameters import Condition, met


@dataclass(frozen=True, slots=True)
class Combination:
    conditions: tuple[Condition, ...]
    reason: str
    possible: bool = False


def _is(parameter: str, *values: object) -> Condition:
    return {"parameter": parameter, "in": list(values)}


LBFGS = _is("optimizer", "lbfgs")
LEAST_DROPOUT = 1e-6
NORMS = ("batch", "layer", "instance", "group", "weight")
FOLLOWING = ("decay",)  # their defaults go with the optimizer
SATURATING = ("tanh", "hardtanh", "sigmoid", "softplus", "rbf")

COMBINATIONS: tuple[Combination, ...] = (
    Combination(
        (
            _is("averaging", "snapshot"),
            _is("schedule", "constant", "linear", "cosine", "step", "exponential", "inverse", "polynomial", "plateau"),
        ),
        "snapshots are taken at the ends of the cycles of schedule sgdr",
    ),
    Combination(
        (LBFGS, _is("augmentation", "manual", "randaugment", "trivialaugment")),
        "lbfgs looks at the same examples again and again, so they cannot change: augmentation none",
    ),
    Combination(
        (LBFGS, _is("clip", "norm", "value", "random_step")),
        "lbfgs finds the length of its steps by a line search: clip none",
    ),
    Combination(
        (LBFGS, _is("decay", "decoupled", "max_norm")), "lbfgs descends on loss and penalty: decay none, l2 or elastic"
    ),
    Combination((LBFGS, _is("adversarial", "vat")), "lbfgs needs the same loss at every look, and vat draws at random"),
    Combination(
        (_is("averaging", "mc_dropout"), {"parameter": "dropout", "lt": LEAST_DROPOUT}),
        "without dropout all that it leaves is the same network: choose another averaging",
    ),
    Combination((LBFGS, _is("averaging", "mc_dropout")), "lbfgs has no dropout: choose another averaging"),
    # batch statistics of a few examples are noise (Y. Wu and K. He 2018)
    Combination(
        (_is("norm", "batch"), {"parameter": "batch_size", "lt": 8}), "too few examples per batch norm", possible=True
    ),
    # it normalizes by itself (G. Klambauer et al. 2017)
    Combination((_is("activation", "selu"), _is("norm", *NORMS)), "selu needs no norm", possible=True),
    Combination((_is("init", "he"), _is("activation", *SATURATING)), "he is meant for rectifiers", possible=True),
    Combination((_is("optimizer", "adam"), _is("decay", "decoupled")), "that is adamw", possible=True),
    Combination((_is("optimizer", "adamw"), _is("decay", "l2")), "that is adam", possible=True),
    Combination(
        (_is("optimizer", "sgd"), _is("decay", "decoupled")), "that is l2 with another weight_decay", possible=True
    ),
)


def objection(settings: Mapping[str, Any]) -> str | None:
    """Why the settings cannot be trained, where two of them do not go together."""
    for each in COMBINATIONS:
        if not each.possible and all(c["parameter"] in settings and _met(c, settings) for c in each.conditions):
            given = " and ".join(f"{c['parameter']} {settings[c['parameter']]}" for c in each.conditions)
            return f"{given} do not go together: {each.reason}"
    return None


def _met(condition: Condition, settings: Mapping[str, Any]) -> bool:
    return met(condition, settings[condition["parameter"]])


def constraints(parameters: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """As constraints of the space with these parameters (as written on the wire): what of the table can happen in it.

    What the space does not name has its default; where that follows from other values, it goes with them.
    """
    written = {parameter["name"]: parameter for parameter in parameters}
    for each in COMBINATIONS:
        inside = [_within(c, written[c["parameter"]]) for c in each.conditions if c["parameter"] in written]
        outside = [c for c in each.conditions if c["parameter"] not in written]
        if inside and None not in inside and all(_always(c, defaults) for c in outside):
            yield {"forbid": inside[0] if len(inside) == 1 else {"all": inside}}


def _always(condition: Condition, defaults: Mapping[str, Any]) -> bool:
    name = condition["parameter"]
    return name in defaults and name not in FOLLOWING and _met(condition, defaults)


def _within(condition: Condition, parameter: Mapping[str, Any]) -> dict[str, Any] | None:
    """The condition as far as the parameter's values can fulfil it; None when they cannot."""
    name = condition["parameter"]
    if "lt" in condition:
        low = parameter.get("low", parameter.get("value"))
        below = isinstance(low, int | float) and low < condition["lt"]
        if parameter.get("type") not in ("int", "float"):
            return None  # a list of numbers is the user's own choice
        return {"parameter": name, "lt": condition["lt"]} if below else None
    fitting = {token(value) for value in condition["in"]}
    values = [value for value in _listed(parameter) if scalar_objection(value) is None and token(value) in fitting]
    if not values:
        return None
    return {"parameter": name, "equals": values[0]} if len(values) == 1 else {"parameter": name, "in": values}


def _listed(parameter: Mapping[str, Any]) -> Iterable[Any]:
    match parameter:
        case {"type": "constant", "value": value}:
            return (value,)
        case {"choices": [*choices]}:
            return choices
        case _:
            return ()
