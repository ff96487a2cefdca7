"""Neighbours and children of configs: what changes, by how much, and that they are legal."""

from collections import Counter

import numpy as np
import pytest

from search.samplers.variation import crossed, mutated, perturbed
from search.streams import stream
from spaces import Space
from spaces.architectures import of_space

SPACE = Space.from_json(
    {
        "parameters": [
            {"name": "x", "type": "float", "low": 0, "high": 1},
            {"name": "n", "type": "int", "low": 1, "high": 4},
            {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
            {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}},
            {"name": "one", "type": "constant", "value": 1},
        ]
    }
)
PARENT = {"x": 0.3, "n": 2, "size": "m", "kind": "b", "one": 1}


def changed(child, parent):
    return {name for name in child.keys() | parent.keys() if child.get(name) != parent.get(name)}


def test_a_mutation_changes_one_gene_each_as_often_and_leaves_the_constant():
    rng, counts = stream(0, 0, ""), Counter()
    for _ in range(2000):
        child = mutated(SPACE, PARENT, rng)
        SPACE.validate(child)
        genes = changed(child, PARENT) - {"y"}
        assert len(genes) == 1
        counts.update(genes)
    assert counts.keys() == {"x", "n", "size", "kind"}
    assert all(count == pytest.approx(500, abs=100) for count in counts.values())


def test_numbers_move_by_a_truncated_normal_step_and_choices_anywhere_else():
    rng = stream(0, 1, "")
    children = [mutated(SPACE, PARENT, rng) for _ in range(4000)]
    moved = np.array([child["x"] for child in children if child["x"] != 0.3])
    assert np.std(moved) == pytest.approx(0.2, abs=0.01), "of N(0.3, 0.25) on [0, 1]"
    assert np.mean(moved) == pytest.approx(0.351, abs=0.015)
    kinds = Counter(child["kind"] for child in children)
    assert kinds["a"] == pytest.approx(kinds["c"], rel=0.2)
    integers = Counter(child["n"] for child in children)
    assert integers[1] == pytest.approx(integers[3], rel=0.25)
    assert integers[4] < integers[3], "far values are rarer"


def test_a_neighbour_moves_half_of_the_parameters_and_never_none():
    rng = stream(0, 2, "")
    children = [perturbed(SPACE, PARENT, rng) for _ in range(2000)]
    assert all(changed(child, PARENT) for child in children)
    # 1/2, by the draws in which something changes: n and size may stay in their cells
    assert np.mean([child["x"] != 0.3 for child in children]) == pytest.approx(0.574, abs=0.04)
    assert np.mean([child["kind"] != "b" for child in children]) == pytest.approx(0.574, abs=0.04)
    for child in children:
        SPACE.validate(child)


def test_a_child_of_two_has_every_value_from_one_of_them():
    rng = stream(0, 3, "")
    other = {"x": 0.8, "n": 4, "size": "l", "kind": "a", "y": 0.25, "one": 1}
    children = [crossed(SPACE, PARENT, other, rng) for _ in range(1000)]
    for child in children:
        SPACE.validate(child)
        assert all(value in (PARENT.get(name), other.get(name)) for name, value in child.items())
    for name in ("x", "n", "size", "kind"):
        assert np.mean([child[name] == other[name] for child in children]) == pytest.approx(0.5, abs=0.06)


def test_a_parameter_that_neither_parent_has_is_drawn():
    space = Space.from_json(
        {
            "parameters": [
                {"name": "p", "type": "bool"},
                {"name": "q", "type": "bool"},
                {
                    "name": "r", "type": "float", "low": 0, "high": 1,
                    "when": {"all": [{"parameter": "p", "equals": True}, {"parameter": "q", "equals": True}]},
                },
            ]
        }
    )  # fmt: skip
    rng = stream(0, 4, "")
    children = [crossed(space, {"p": True, "q": False}, {"p": False, "q": True}, rng) for _ in range(800)]
    drawn = [child["r"] for child in children if "r" in child]
    assert len(drawn) == pytest.approx(200, abs=50)
    assert np.std(drawn) == pytest.approx(np.sqrt(1 / 12), abs=0.04)


def test_constraints_are_kept():
    space = Space.from_json(
        {
            "parameters": [{"name": name, "type": "float", "low": 0, "high": 1} for name in "ab"],
            "constraints": [{"linear": {"a": 1, "b": 1}, "le": 1.0}],
        }
    )
    rng = stream(0, 5, "")
    for vary in (perturbed, mutated, lambda space, config, rng: crossed(space, config, {"a": 0.9, "b": 0.1}, rng)):
        for _ in range(200):
            space.validate(vary(space, {"a": 0.1, "b": 0.9}, rng))


def test_a_space_of_one_point_has_no_other_child():
    space = Space.from_json({"parameters": [{"name": "one", "type": "constant", "value": 1}]})
    assert mutated(space, {"one": 1}, stream(0, 6, "")) == {"one": 1}


def cell_space(preset, *more, **form):
    return Space.from_json({"parameters": [{"name": "cell", "type": "cell", "preset": preset, **form}, *more]})


def test_a_mutation_of_a_cell_changes_one_operation():
    """NAS-Bench-201: one of 6 edges, its op another one: 24 neighbours, each as likely."""
    space, rng, found = cell_space("nas-bench-201"), stream(0, 1, ""), Counter()
    parent = space.sample(np.random.default_rng(2))
    for _ in range(2400):
        child = mutated(space, parent, rng)
        (gene,) = changed(child, parent)
        found[gene, child[gene]] += 1
    assert len(found) == 24
    assert all(count == pytest.approx(100, abs=45) for count in found.values())


def test_a_mutation_of_darts_changes_an_edge_or_an_operation_as_often():
    space, rng, kinds = cell_space("darts"), stream(0, 2, ""), Counter()
    parent = space.sample(np.random.default_rng(3))
    for _ in range(1000):
        genes = changed(mutated(space, parent, rng), parent)
        assert len({gene.rsplit(".", 1)[0] for gene in genes}) == 1, "one node"
        kinds["edge" if any(gene.endswith("inputs") for gene in genes) else "op"] += 1
    assert kinds["edge"] == pytest.approx(500, abs=60)


def test_recipe_and_architecture_mutate_together():
    space, rng = cell_space("nas-bench-201", {"name": "lr", "type": "float", "low": 0, "high": 1}), stream(0, 3, "")
    parent = space.sample(np.random.default_rng(4))
    genes = Counter(next(iter(changed(mutated(space, parent, rng), parent))) for _ in range(1400))
    assert genes["lr"] == pytest.approx(200, abs=50), "each of the 7 parameters as often"


def test_children_can_be_trained():
    """Of cells with two operations, one of which is none, many are disconnected: none of them is a child."""
    space, rng = cell_space("nas-bench-201", ops=["none", "nor_conv_3x3"]), stream(0, 4, "")
    architecture = of_space(space)
    configs = [config for config in space.enumerate() if architecture.objection(config) is None]
    assert 20 < len(configs) < 64
    for parent in configs:
        for child in (mutated(space, parent, rng), crossed(space, parent, configs[0], rng)):
            assert architecture.objection(child) is None


def test_what_no_edit_reaches_is_reached_by_its_parameter():
    """Where a user leaves two pairs of states without a state in common, both edges move."""
    only = {"normal.4.inputs": ["0-1", "2-3"]}
    space, rng = cell_space("darts", ops=["skip_connect"], choices=only), stream(0, 5, "")
    parent = {**space.sample(np.random.default_rng(1)), "cell.normal.4.inputs": "0-1"}
    found = {mutated(space, parent, rng)["cell.normal.4.inputs"] for _ in range(200)}
    assert found == {"0-1", "2-3"}
