"""A preset's hyperparameters as the parameters of a space, and what becomes of them where a user changes some."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spaces.values import is_number, scalar_objection
from workers.training.hyperparameters import Hyperparameter, Preset, met

Parameter = Mapping[str, Any]


def of_preset(hyperparameters: Sequence[Hyperparameter], preset: Preset) -> list[dict[str, Any]]:
    """The preset's parameters as a space writes them."""
    listed = [each.at(preset).to_json() for each in hyperparameters if each.within(preset)]
    return settled(listed, {each.name: each.default for each in hyperparameters})


def settled(
    parameters: Sequence[Parameter], defaults: Mapping[str, Any], own: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The parameters, with conditions that say only what is open; those of `own` as they are.

    What a condition says of a parameter that is not there, its default decides; choices that the parent does not have
    are left out of it, a condition that always holds is, and so is a parameter whose condition never does.
    """
    kept = {parameter["name"]: dict(parameter) for parameter in parameters}
    for name in [name for name in kept if name not in own]:
        match _fitted(kept[name].get("when"), kept, defaults):
            case None:
                kept[name].pop("when", None)
            case False:
                del kept[name]
            case when:
                kept[name]["when"] = when
    return list(kept.values())


def _fitted(when: Any, kept: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> Any:
    """The condition as it then is; None where it always holds, False where it never does."""
    if not (isinstance(when, Mapping) and "parameter" in when):
        return when
    parent = kept.get(when["parameter"])
    if parent is None:
        default = defaults.get(when["parameter"])
        return when if default is None else None if met(when, default) else False
    match parent:
        case {"choices": [*values]}:
            pass
        case {"type": "constant", "value": value}:
            values = [value]
        case {"high": high} if is_number(high) and "gt" in when:
            return when if high > when["gt"] else False
        case _:
            return when
    fitting = [value for value in values if scalar_objection(value) is None and met(when, value)]
    if not fitting:
        return False
    if len(fitting) == len(values) and "when" not in parent:
        return None
    return {"parameter": when["parameter"], **({"equals": fitting[0]} if len(fitting) == 1 else {"in": fitting})}


def changed(parameter: Parameter, change: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter with other fields. A default that is given up by new bounds becomes the nearest value, one that is
    no choice any more the first choice."""
    new = {**parameter, **change}
    if "default" in change or "default" not in parameter:
        return new
    default, low, high = parameter["default"], new.get("low"), new.get("high")
    if is_number(default) and is_number(low) and is_number(high) and low < high:
        new["default"] = min(max(default, low), high)
    elif isinstance(choices := new.get("choices"), list) and default not in choices:
        del new["default"]
    return new
