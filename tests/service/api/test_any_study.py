"""Studies of all kinds, right and slightly wrong, are taken or refused, never a fault; what is taken can begin."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search import ALGORITHMS, STOPPING_RULES, History, Option, ask
from search.replicates import REPLICATES
from search.spec import BUDGET
from service.database import Database
from service.models import DEFAULT_PROJECT_ID
from service.repositories.studies import Studies
from service.specs import search_spec

ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, True, -1, 0, 1, 2, 3.0, 2.5, 1e-300, 1e300, 10**6, 2**63 - 1, "", "a", "min", [], {}, [1]]
)
NUMBERS = st.sampled_from([-1e300, -5, -1, 0, 0.5, 1, 2, 3, 10, 27, 1e-9, 1e6, 1e300])
LOWS, HIGHS = st.sampled_from([1e-9, 0.5, 1]), st.sampled_from([2, 3.0, 27, 1e6, 1e300])


def rarely(odd: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One in twelve is odd, so that most studies have one mistake or none."""
    return st.integers(0, 11).flatmap(lambda draw: odd if draw == 11 else usual)


def value_of(option: Option) -> st.SearchStrategy[object]:
    """Mostly legal values, the extremes among them."""
    if option.choices:
        return rarely(ODD, st.sampled_from(option.choices))
    edges = [edge for edge in (option.at_least, option.at_most, option.default) if edge is not None]
    return rarely(ODD, st.sampled_from([*edges, 1, 3] if option.above is not None or not edges else edges))


def some_of(options: tuple[Option, ...], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    needed = {option.name: value_of(option) for option in options if option.required}
    free = {option.name: value_of(option) for option in options if not option.required}
    return st.fixed_dictionaries({**needed, **{key: more.pop(key) for key in ("name", "rule") if key in more}}).flatmap(
        lambda given: st.fixed_dictionaries({}, optional={**free, **more}).map(lambda rest: {**given, **rest})
    )


NAMES = st.sampled_from(["a", "b", "c"])
CONDITIONS = st.fixed_dictionaries({"parameter": NAMES, "equals": st.sampled_from(["x", 1, True])})
INTEGERS = {"type": st.just("int"), "low": st.sampled_from([-5, 0, 1]), "high": st.sampled_from([2, 27, 10**6])}
FLOATS = {"type": st.just("float"), "low": LOWS, "high": HIGHS}
PARAMETERS = st.one_of(
    *(
        st.fixed_dictionaries(
            kind,
            optional={
                "log": st.just(False),
                "step": rarely(NUMBERS, st.none()),
                "default": rarely(ODD, st.just(2)),
                "when": rarely(CONDITIONS, st.none()),
                "prior": rarely(ODD, st.just({"mode": 1})),
            },
        )
        for kind in (INTEGERS, FLOATS)
    ),
    st.fixed_dictionaries({"type": st.just("float"), "log": st.just(True), "low": rarely(ODD, LOWS), "high": HIGHS}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["categorical", "ordinal"]),
            "choices": rarely(st.lists(ODD, max_size=4), st.just(["x", "y", "z"])),
        },
        optional={"when": rarely(CONDITIONS, st.none())},
    ),
    st.fixed_dictionaries({"type": st.just("bool")}),
    st.fixed_dictionaries({"type": st.just("constant"), "value": rarely(ODD, st.just(3))}),
)
CONSTRAINTS = rarely(
    ODD,
    st.fixed_dictionaries({"forbid": CONDITIONS})
    | st.fixed_dictionaries({"linear": st.dictionaries(NAMES, NUMBERS, min_size=1, max_size=2), "le": NUMBERS}),
)
SPACES = st.fixed_dictionaries(
    {"parameters": st.lists(PARAMETERS, min_size=1, max_size=3).map(lambda found: named(found))},
    optional={
        "fidelity": st.fixed_dictionaries({"name": st.just("epochs"), "low": LOWS, "high": HIGHS}),
        "constraints": rarely(st.lists(CONSTRAINTS, max_size=2), st.just([])),
    },
)
STOPS = st.sampled_from(list(STOPPING_RULES.values())).flatmap(lambda row: some_of(row.options, rule=st.just(row.name)))
RULES = st.sampled_from(list(ALGORITHMS.values())).flatmap(
    lambda row: some_of(row.options, name=st.just(row.name), stop=rarely(STOPS, st.none()))
)
LOSS = {"name": "loss", "direction": "minimize"}
METRICS = st.fixed_dictionaries(
    {"name": st.sampled_from(["loss", "size"]), "at_most": NUMBERS},
    optional={"direction": st.sampled_from(["minimize", "maximize"]), "at_least": rarely(NUMBERS, st.none())},
)
STUDIES = st.fixed_dictionaries(
    {"space": SPACES},
    optional={
        "metrics": rarely(st.lists(METRICS, max_size=2), st.lists(METRICS, max_size=1).map(lambda more: [LOSS, *more])),
        "algorithm": RULES
        | RULES
        | rarely(ODD, st.fixed_dictionaries({"name": st.just("auto")}, optional={"stop": STOPS})),
        "budget": some_of(BUDGET),
        "replicates": some_of(REPLICATES),
        "warm_start": rarely(st.lists(st.sampled_from(["s", "nobody"]), max_size=2), st.just(["s"])),
        "parallelism": st.sampled_from([1, 4, 10_000]),
        "seed": st.sampled_from([0, 2**53 - 1]),
    },
).map(lambda study: {"metrics": [LOSS], **study})


def named(parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **parameter} for name, parameter in zip("abc", parameters, strict=False)]


@pytest.fixture
def before(finished: str) -> str:
    """A study that others may start from."""
    assert finished == "s"
    return finished


@pytest.fixture
def numbers() -> Iterator[int]:
    return count()


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(study=STUDIES)
def test_any_study_is_answered_and_what_is_taken_can_begin(
    api: httpx.Client, sqlite_database: Database, before: str, numbers: Iterator[int], study: dict[str, Any]
) -> None:
    name = f"t{next(numbers)}"

    answer = api.post("studies", json={**study, "name": name, "objective": {"type": "function", "function": "noop"}})

    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 422:
        assert all(error["path"] and error["message"] for error in answer.json()["errors"])
        assert api.get(f"studies/{name}").status_code == 404
        return
    assert api.get(f"studies/{name}").json()["advice"] == answer.json()["advice"]
    with sqlite_database.session(write=False) as session:
        spec = search_spec(Studies(session, DEFAULT_PROJECT_ID).get(name))
    assert spec.algorithm.to_json() == answer.json()["algorithm"]
    ask(spec, History())
