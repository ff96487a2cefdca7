"""Small steps: replacing, mutating, neighbours."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from spaces import Bool, Categorical, Constant, Float, Integer, Leaf, Ordinal, Prior, Space
from spaces.values import token

Objects = SearchStrategy[dict[str, Any]]
law = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32)

TREE = Space(
    (
        Categorical("opt", ("sgd", "adam")),
        Float("mom", 0, 1, when=Leaf("opt", "equals", "sgd")),
        Float("beta", 0, 1, when=Leaf("opt", "equals", "adam"), prior=Prior(0.9, sigma=0.001)),
        Constant("k", 3),
    )
)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _changed(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {name for name in one.keys() & other.keys() if token(one[name]) != token(other[name])}


@law
@given(data=st.data(), seed=seeds)
def test_a_mutant_differs_in_one_gene_and_its_children(data: DataObject, seed: int, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    config = space.sample(_rng(seed))
    mutant = space.mutate(config, _rng(seed))
    space.validate(mutant)
    assert space.mutate(config, _rng(seed)) == mutant
    genes = [name for name in config if space[name].domain.count != 1]
    if not genes:
        assert mutant == config
        return
    assert space.key(mutant) != space.key(config)
    assert len(_changed(config, mutant)) == 1


@law
@given(data=st.data(), seed=seeds, adjacent=st.booleans())
def test_neighbours_differ_in_one_parameter(
    data: DataObject, seed: int, adjacent: bool, space_objects: Objects
) -> None:
    space = Space.from_json(data.draw(space_objects))
    config = space.sample(_rng(seed))
    neighbours = space.neighbours(config, _rng(seed), adjacent=adjacent)
    assert space.neighbours(config, _rng(seed), adjacent=adjacent) == neighbours
    assert len({space.key(neighbour) for neighbour in neighbours}) == len(neighbours)
    for neighbour in neighbours:
        space.validate(neighbour)
        assert len(_changed(config, neighbour)) == 1
    assert bool(neighbours) == any(space[name].domain.count != 1 for name in config)


def test_mutation_is_uniform_over_the_other_values_and_the_genes() -> None:
    space = Space((Integer("n", 1, 4), Categorical("c", ("a", "b")), Constant("k", 1)))
    rng = _rng()
    counts = Counter(space.key(space.mutate({"n": 3, "c": "a", "k": 1}, rng)) for _ in range(6_000))
    one_gene = [counts[space.key({"n": n, "c": "a", "k": 1})] / 6_000 for n in (1, 2, 4)]
    assert one_gene == [pytest.approx(1 / 6, abs=0.02)] * 3
    assert counts[space.key({"n": 3, "c": "b", "k": 1})] / 6_000 == pytest.approx(1 / 2, abs=0.03)


def test_mutation_on_a_log_scale_follows_the_cells() -> None:
    space = Space((Integer("n", 1, 8, log=True),))
    masses = np.array([0.387762, 0.180299, 0.118760, 0.088703, 0.070828, 0.058963, 0.050508, 0.044177])
    rng = _rng()
    counts = Counter(space.mutate({"n": 2}, rng)["n"] for _ in range(6_000))
    expected = masses / (1 - masses[1])
    assert counts[2] == 0
    for n in (1, 3, 8):
        assert counts[n] / 6_000 == pytest.approx(expected[n - 1], abs=0.025)


def test_children_follow_their_parent() -> None:
    config = {"opt": "sgd", "mom": 0.5, "k": 3}
    switched = TREE.replace(config, {"opt": "adam"}, _rng())
    assert switched.keys() == {"opt", "beta", "k"}
    assert switched["beta"] == pytest.approx(0.9, abs=0.01)  # newly active: from the prior
    assert TREE.replace(config, {"mom": 0.25}, _rng()) == {"opt": "sgd", "mom": 0.25, "k": 3}
    assert [neighbour["opt"] for neighbour in TREE.neighbours(config, _rng())] == ["adam"] + ["sgd"] * 4


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Categorical("x", ("a", "b", "c")), "b", ["a", "c"]),
        (Bool("x"), True, [False]),
        (Ordinal("x", ("xs", "s", "m", "l")), "s", ["xs", "m"]),
        (Ordinal("x", ("xs", "s", "m", "l")), "l", ["m"]),
        (Integer("x", 1, 2), 1, [2]),  # tiny ranges end too
        (Integer("x", 1, 5), 2, [1, 3, 4, 5]),
        (Constant("x", 1), 1, []),
    ],
)
def test_neighbours_of_a_value(parameter: Any, value: Any, expected: list[Any]) -> None:
    found = Space((parameter,)).neighbours({"x": value}, _rng())
    assert [neighbour["x"] for neighbour in found] == expected


def test_adjacent_neighbours() -> None:
    space = Space((Integer("n", 1, 100), Float("x", 0, 1, step=0.1)))
    found = space.neighbours({"n": 50, "x": 0.0}, _rng(), adjacent=True)
    assert found == [{"n": 49, "x": 0.0}, {"n": 51, "x": 0.0}, {"n": 50, "x": 0.1}]


def test_integer_neighbours_are_symmetric_about_the_centre() -> None:
    space, rng = Space((Integer("n", 0, 100),)), _rng()
    steps = [neighbour["n"] - 50 for _ in range(1_000) for neighbour in space.neighbours({"n": 50}, rng)]
    assert abs(sum(step > 0 for step in steps) / len(steps) - 0.5) < 0.03
    assert np.std(steps) == pytest.approx(20, abs=1.5)
    # steps too small to leave the cell go to the next ones
    steps = [neighbour["n"] - 50 for _ in range(100) for neighbour in space.neighbours({"n": 50}, rng, sd=1e-9)]
    assert set(steps) == {-1, 1}
    assert {neighbour["n"] for neighbour in space.neighbours({"n": 0}, rng, sd=1e-9)} == {1}


def test_float_neighbours_are_normal_steps() -> None:
    space, rng = Space((Float("x", 1e-5, 1e-1, log=True),)), _rng()
    found = [space.encode(n)[0] for _ in range(500) for n in space.neighbours({"x": 1e-3}, rng, sd=0.1)]
    assert len(found) == 2_000
    assert np.mean(found) == pytest.approx(0.5, abs=0.01)
    assert np.std(found) == pytest.approx(0.1, abs=0.01)
    assert len(space.neighbours({"x": 1e-3}, rng, draws=7)) == 7
