"""Reading a space from JSON. One pass finds everything that is wrong, each with the path from the space's root.

{"parameters": [{"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": true}, ...],
 "fidelity": {"name": "epochs", "low": 1, "high": 27},
 "constraints": [{"forbid": {"parameter": "lr", "gt": 0.1}}, {"linear": {"a": 1, "b": 1}, "le": 1.0}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from spaces import priors, structure
from spaces.architectures import expansion as architectures
from spaces.checks import Fields, unknown
from spaces.conditions import OPERATORS, AllOf, AnyOf, Condition, Leaf, Not, Operator, Relation
from spaces.constraints import BOUNDS, Constraint, Forbid, Linear
from spaces.errors import InvalidInput, Path, Problem
from spaces.fidelity import Fidelity
from spaces.parameters import TYPES, Parameter
from spaces.structure import Declaration
from spaces.values import kind, listing, scalar_objection, show

MAX_DEPTH = 32  # of joins within joins
_JOINS = ("all", "any", "not")
_OPINIONS = ("default", "prior")  # fields that say something about the values, and do not declare them


def read_space(obj: object) -> tuple[tuple[Parameter, ...], Fidelity | None, tuple[Constraint, ...]]:
    """The parameters, the fidelity and the constraints; raises InvalidInput with every problem found."""
    cells = architectures.expanded(obj)
    problems = list(cells.problems)
    try:
        read = _read_plain(cells.space, cells.places)
    except InvalidInput as invalid:
        problems += cells.seen(invalid.problems)
    if problems:
        raise InvalidInput(problems)
    return read


def _read_plain(
    obj: object, places: Sequence[int]
) -> tuple[tuple[Parameter, ...], Fidelity | None, tuple[Constraint, ...]]:
    """Without entries of type `cell`. `places` holds the index of each parameter in what the user wrote."""
    if not isinstance(obj, Mapping):
        raise InvalidInput.at((), f'must be an object such as {{"parameters": [...]}}, got {kind(obj)}')
    read = Fields(obj)
    read.only(("parameters", "fidelity", "constraints"))
    fidelity: Fidelity | None = None
    fidelity_name: str | None = None
    if not read.absent("fidelity", optional=True):
        fidelity, fidelity_name = _read_fidelity(read.raw("fidelity"), read.problems)
    constraints = _read_constraints(read)
    parameters: list[Parameter | None] = []
    if not read.absent("parameters"):
        items = read.raw("parameters")
        if not isinstance(items, list | tuple):
            read.wrong("parameters", f"must be a list, got {kind(items)}")
        elif len(items) > structure.MAX_PARAMETERS:
            read.wrong("parameters", structure.too_many(len(items)))
        else:
            both = [_read_parameter(item, ("parameters", index), read.problems) for index, item in enumerate(items)]
            parameters = [parameter for parameter, _ in both]
            declared = [declaration for _, declaration in both]
            read.problems += structure.problems(declared, fidelity_name, constraints, places)
    read.require()
    return (
        tuple(parameter for parameter in parameters if parameter is not None),
        fidelity,
        tuple(constraint for constraint in constraints if constraint is not None),
    )


def _read_fidelity(obj: object, problems: list[Problem]) -> tuple[Fidelity | None, str | None]:
    """The fidelity, None when anything is wrong with it; and its name in any case, if that is readable."""
    if not isinstance(obj, Mapping):
        problems.append(Problem(("fidelity",), f"must be an object, got {kind(obj)}"))
        return None, None
    read = Fields(obj)
    read.only(("name", "type", "low", "high"))
    Fidelity.check(read)
    problems += [problem.under("fidelity") for problem in read.problems]
    name = obj["name"] if read.sound("name") else None
    if read.problems:
        return None, name
    low, high = (float(obj[bound]) if obj.get("type") == "float" else obj[bound] for bound in ("low", "high"))
    return Fidelity(obj["name"], low, high), name


def _read_parameter(obj: object, path: Path, problems: list[Problem]) -> tuple[Parameter | None, Declaration]:
    """The parameter, None when it cannot be built; and what is known of it in any case."""
    if not isinstance(obj, Mapping):
        problems.append(Problem(path, f"must be an object, got {kind(obj)}"))
        return None, Declaration(None, None, None)
    read = Fields(obj)
    cls = _read_type(read)
    if cls is None:
        known: tuple[str, ...] = ()
        read.name()
    else:
        known = tuple(field.name for field in fields(cls))
        read.only(("name", "type", *(name for name in known if name != "name")))
        cls.check(read)
    when = None if read.absent("when", optional=True) else read_condition(read.raw("when"), ("when",), read.problems)

    # A default or prior that is wrong leaves the parameter's values known: conditions on it can still be checked.
    usable = {name: obj[name] for name in known if name in obj and (name not in _OPINIONS or read.sound(name))}
    prior = usable.pop("prior", None)
    parameter = None
    if cls is not None and read.sound(*(name for name in known if name not in (*_OPINIONS, "when"))):
        parameter = cls(**{**usable, "when": when})
        if prior is not None:
            priors.check(read, parameter.domain)
            if read.sound("prior"):
                parameter = cls(**{**usable, "when": when, "prior": prior})
    problems += [problem.under(*path) for problem in read.problems]
    name = obj["name"] if read.sound("name") else None
    return parameter, Declaration(name, parameter.domain if parameter else None, when)


def _read_type(read: Fields) -> type[Parameter] | None:
    if read.absent("type"):
        return None
    name = read.raw("type")
    if isinstance(name, str) and name in TYPES:
        return TYPES[name]
    read.wrong("type", unknown("type", name, TYPES))
    return None


def _read_constraints(read: Fields) -> list[Constraint | None]:
    """The constraints, None in the place of one that cannot be read."""
    if read.absent("constraints", optional=True):
        return []
    items = read.raw("constraints")
    if not isinstance(items, list | tuple):
        read.wrong("constraints", f"must be a list, got {kind(items)}")
        return []
    if len(items) > structure.MAX_CONSTRAINTS:
        read.wrong("constraints", structure.too_many_constraints(len(items)))
        return []
    return [_read_constraint(item, ("constraints", index), read.problems) for index, item in enumerate(items)]


def _read_constraint(obj: object, path: Path, problems: list[Problem]) -> Constraint | None:
    if not isinstance(obj, Mapping):
        problems.append(Problem(path, f"must be an object, got {kind(obj)}"))
        return None
    read = Fields(obj)
    if "linear" in obj:
        read.only(("linear", *BOUNDS))
        Linear.check(read)
        for name in BOUNDS:
            if name in obj and obj[name] is None:
                read.wrong(name, "must be a number, got null")
        problems += [problem.under(*path) for problem in read.problems]
        if read.problems:
            return None
        (operator,) = (name for name in BOUNDS if name in obj)
        return Linear(obj["linear"], operator, obj[operator])
    read.only(("forbid",))
    if "forbid" not in obj:
        example = '{"forbid": <condition>} or {"linear": {"a": 1, "b": 1}, "le": 1.0}'
        problems.append(Problem(path, f"must be {example}"))
    problems += [problem.under(*path) for problem in read.problems]
    if "forbid" not in obj or read.problems:
        return None
    condition = read_condition(obj["forbid"], (*path, "forbid"), problems)
    return None if condition is None else Forbid(condition)


def read_condition(obj: object, path: Path, problems: list[Problem]) -> Condition | None:
    """The condition, None when a part of it cannot be read."""

    def wrong(message: str, *within: str | int) -> None:
        problems.append(Problem((*path, *within), message))

    if isinstance(obj, list | tuple):
        wrong('must be an object, got a list; join several conditions with {"all": [...]} or {"any": [...]}')
        return None
    if not isinstance(obj, Mapping):
        wrong(f"must be an object, got {kind(obj)}")
        return None
    if sum(step in _JOINS for step in path) > MAX_DEPTH:
        wrong(f"is nested more than {MAX_DEPTH} deep")
        return None
    joins = [join for join in _JOINS if join in obj]
    if not joins:
        return _read_leaf(obj, path, problems)
    join = joins[0]
    if len(obj) > 1:
        others = listing(key for key in obj if key != join)
        wrong(f"must hold {show(join)} alone, got {others} beside it; nest them to combine them")
        return None
    if join == "not":
        part = read_condition(obj["not"], (*path, "not"), problems)
        return part and Not(part)
    if not isinstance(obj[join], list | tuple):
        wrong(f"must be a list of conditions, got {kind(obj[join])}", join)
        return None
    if not obj[join]:
        wrong("needs at least one condition", join)
        return None
    parts = [read_condition(part, (*path, join, index), problems) for index, part in enumerate(obj[join])]
    read = tuple(part for part in parts if part is not None)
    if len(read) < len(parts):
        return None
    return AllOf(read) if join == "all" else AnyOf(read)


def _read_leaf(obj: Mapping[str, Any], path: Path, problems: list[Problem]) -> Leaf | Relation | None:
    read = Fields(obj)
    read.only(("parameter", *OPERATORS))
    parameter = read.name("parameter")
    given = [operator for operator in OPERATORS if operator in obj]
    operator = given[0] if given else None
    if len(given) > 1:
        read.wrong(given[1], f'one comparison per condition, got {listing(given)}; join them with {{"all": [...]}}')
    elif operator is None:
        problems.append(Problem(path, f"needs one of {listing(OPERATORS)}"))
    elif isinstance(obj[operator], Mapping):
        return _read_relation(obj[operator], parameter, operator, read, path, problems)
    elif operator != "in":
        if (objection := scalar_objection(obj[operator])) is not None:
            read.wrong(operator, objection)
    elif not isinstance(obj["in"], list | tuple):
        read.wrong("in", f"must be a list, got {kind(obj['in'])}")
    else:
        for index, value in enumerate(obj["in"]):
            if (objection := scalar_objection(value)) is not None:
                read.wrong("in", objection, index)
    problems += [problem.under(*path) for problem in read.problems]
    if parameter is None or operator is None or read.problems:
        return None
    return Leaf(parameter, operator, tuple(obj["in"]) if operator == "in" else obj[operator])


def _read_relation(
    other: Mapping[str, Any],
    parameter: str | None,
    operator: Operator,
    read: Fields,
    path: Path,
    problems: list[Problem],
) -> Relation | None:
    within = Fields(other)
    within.only(("parameter",))
    name = within.name("parameter")
    if operator == "in":
        read.wrong("in", "must be a list of values; two parameters are compared with equals, gt, ge, lt or le")
    found = [*read.problems, *(problem.under(operator) for problem in within.problems)]
    problems += [problem.under(*path) for problem in found]
    return None if found or parameter is None or name is None else Relation(parameter, operator, name)
