"""What a space rules out of its supernet: by restricted choices, and by constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import Space
from spaces.architectures import ARCHITECTURES, OneShot
from spaces.architectures.searched import searched
from spaces.architectures.ties import Ties
from spaces.values import Config

FORMS: Mapping[str, dict[str, Any]] = {
    "nas-bench-201": {"nodes": 3, "ops": ["none", "skip_connect", "nor_conv_3x3"]},
    "darts": {"nodes": 2, "ops": ["skip_connect", "sep_conv_3x3"]},
}
EDGES = ("0-1", "0-2", "1-2")
SUPERNETS = [name for name, row in ARCHITECTURES.items() if issubclass(row, OneShot)]


def found(
    preset: str, choices: Mapping[str, Sequence[Any]] | None = None, constraints: Sequence[Any] = (), *more: Any
) -> OneShot:
    cell = {"name": "cell", "type": "cell", "preset": preset, **FORMS[preset], "choices": choices or {}}
    architecture = searched(Space.from_json({"parameters": [cell, *more], "constraints": list(constraints)}))
    assert isinstance(architecture, OneShot)
    return architecture


def all_of(architecture: OneShot) -> list[Config]:
    genes = architecture.genes
    every = product(*(gene.choices for gene in genes))
    return [architecture.config({g.rest: v for g, v in zip(genes, values, strict=True)}) for values in every]


def used(architecture: OneShot, configs: Sequence[Config]) -> dict[str, np.ndarray[Any, Any]]:
    """By kind [edges, ops]: whether one of the configs has the op there."""
    union = {kind: np.zeros_like(mask) for kind, mask in architecture.masks.items()}
    for config in configs:
        for kind, ops in architecture.paths(config).items():
            for edge, op in enumerate(ops):
                if op is not None:
                    union[kind][edge, op] = True
    return union


def random_choices(preset: str, rng: np.random.Generator) -> dict[str, list[Any]]:
    genes = found(preset).genes
    kept = {gene.rest: [value for value in gene.choices if rng.random() < 0.5] for gene in genes if rng.random() < 0.6}
    return {rest: values for rest, values in kept.items() if values}


@pytest.mark.parametrize("preset", FORMS)
def test_all_that_is_not_restricted_is_left(preset: str) -> None:
    assert all(mask.all() for mask in found(preset).masks.values())


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("preset", FORMS)
def test_what_is_ruled_out_is_what_no_architecture_has(preset: str, seed: int) -> None:
    choices = random_choices(preset, np.random.default_rng(seed))
    cell = {"name": "cell", "type": "cell", "preset": preset, **FORMS[preset], "choices": choices}
    architecture = searched(Space.from_json({"parameters": [cell]}))
    assert isinstance(architecture, OneShot)
    configs = all_of(architecture)
    union = used(architecture, configs)
    for kind, mask in architecture.masks.items():
        by_no_one = np.array([op == "none" and preset == "darts" for op in architecture.supercells[kind].ops])
        np.testing.assert_array_equal(mask, union[kind] | by_no_one)
        assert mask.any(axis=1).all(), "every edge has something to do, if only nothing"


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_constraints_rule_out_what_no_allowed_config_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    usual, others = "nor_conv_3x3", ["none", "skip_connect"]

    def a_clause() -> dict[str, Any]:
        # one that the defaults break is refused with the space
        edges = rng.choice(["0-1", "0-2", "1-2"], size=int(rng.integers(1, 4)), replace=False)
        return {
            "all": [
                {
                    "parameter": f"cell.{edge}",
                    "in": [usual, "none"] if place and rng.random() < 0.5 else [*others[: 1 + int(rng.integers(2))]],
                }
                for place, edge in enumerate(edges)
            ]
        }

    constraints = [{"forbid": a_clause()} for _ in range(int(rng.integers(1, 5)))]
    space = Space.from_json(
        {
            "parameters": [{"name": "cell", "type": "cell", "preset": "nas-bench-201", **FORMS["nas-bench-201"]}],
            "constraints": constraints,
        }
    )
    architecture = searched(space)
    assert isinstance(architecture, OneShot)
    allowed = [config for config in all_of(found("nas-bench-201")) if space.allows(config)]
    np.testing.assert_array_equal(architecture.masks["cell"], used(architecture, allowed)["cell"])
    for _ in range(10):
        config = architecture.discretized({"cell": rng.random((3, 3))})
        assert config in allowed
        assert architecture.sample(rng) in allowed


def test_what_constraints_forbid_gives_way_to_the_heaviest_that_they_allow() -> None:
    both = [{"parameter": f"cell.{edge}", "equals": "skip_connect"} for edge in ("0-1", "0-2")]
    architecture = found("nas-bench-201", constraints=[{"forbid": {"all": both}}])
    weights = np.array([[0.1, 0.6, 0.3], [0.05, 0.9, 0.05], [0.2, 0.2, 0.6]])
    assert architecture.masks["cell"].all()
    config = architecture.discretized({"cell": weights})
    assert [config[f"cell.{edge}"] for edge in ("0-1", "0-2", "1-2")] == [
        "nor_conv_3x3",
        "skip_connect",
        "nor_conv_3x3",
    ]


def test_as_few_choices_give_way_as_possible() -> None:
    """With one other choice nothing is allowed here."""
    skips = [{"parameter": f"cell.{edge}", "equals": "skip_connect"} for edge in ("0-1", "0-2", "1-2")]
    pairs = [{"all": [a, b]} for a, b in ((skips[0], skips[1]), (skips[0], skips[2]), (skips[1], skips[2]))]
    architecture = found("nas-bench-201", constraints=[{"forbid": {"any": pairs}}])
    weights = np.array([[0.1, 0.8, 0.1]] * 3)
    chosen = list(architecture.discretized({"cell": weights}).values())
    assert chosen.count("skip_connect") == 1


def test_other_parameters_are_what_they_are_by_default() -> None:
    channels = {"name": "channels", "type": "int", "low": 4, "high": 16, "default": 8}
    wide = {"parameter": "channels", "ge": 8}
    narrow = {"parameter": "channels", "lt": 8}
    skip, none = ({"parameter": "cell.0-1", "equals": op} for op in ("skip_connect", "none"))
    constraints = [{"forbid": {"all": [skip, wide]}}, {"forbid": {"all": [none, narrow]}}]
    architecture = found("nas-bench-201", None, constraints, channels)
    assert architecture.masks["cell"].tolist() == [[True, False, True], [True] * 3, [True] * 3]


def test_draws_are_those_of_the_choices_where_nothing_is_tied() -> None:
    architecture = found("nas-bench-201", {"0-1": ["none", "skip_connect"]})
    space = Space.from_json({"parameters": architecture.parameters()})
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    assert [architecture.sample(first) for _ in range(5)] == [space.sample(second) for _ in range(5)]


def test_few_draws_are_in_vain_where_constraints_allow_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some searches draw for every step that they take."""
    ops, allow, asked = FORMS["nas-bench-201"]["ops"], Ties.allow, list[Config]()
    constraints = [
        {"forbid": {"all": [{"parameter": "cell.0-1", "equals": op}, {"parameter": edge, "in": [*{*ops} - {op}]}]}}
        for op in ops
        for edge in ("cell.0-2", "cell.1-2")
    ]
    architecture = found("nas-bench-201", constraints=constraints)

    def counted(self: Ties, config: Config) -> bool:
        asked.append(config)
        return allow(self, config)

    monkeypatch.setattr(Ties, "allow", counted)
    monkeypatch.setattr(Space, "sample", lambda *_: {f"cell.{e}": op for e, op in zip(EDGES, ops, strict=True)})
    drawn = architecture.sample(np.random.default_rng(0))
    assert len({drawn[f"cell.{edge}"] for edge in EDGES}) == 1
    assert len(asked) < 100


@pytest.mark.parametrize("preset", SUPERNETS)
def test_an_architecture_that_can_be_drawn_can_be_weighed(preset: str) -> None:
    """Of every preset with a supernet, in its usual size, with a gene restricted."""
    row = ARCHITECTURES[preset]("cell")
    gene = row.genes[-1]
    cell = {"name": "cell", "type": "cell", "preset": preset, "choices": {gene.rest: list(gene.choices[:1])}}
    architecture = searched(Space.from_json({"parameters": [cell]}))
    assert isinstance(architecture, OneShot)
    assert not all(mask.all() for mask in architecture.masks.values())
    rng = np.random.default_rng(0)
    for _ in range(30):
        for kind, ops in architecture.paths(architecture.sample(rng)).items():
            assert all(architecture.masks[kind][edge, op] for edge, op in enumerate(ops) if op is not None)
