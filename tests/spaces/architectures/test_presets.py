"""What holds of every architecture space, whatever its preset and form."""

import json
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spaces import Config, InvalidInput, Space, json_schema, lint
from spaces.architectures import ARCHITECTURES, Architecture, OneShot, of_config, of_entry, of_space, written_out
from spaces.architectures.darts import Darts
from spaces.architectures.hierarchical import Hierarchical
from spaces.architectures.options import Count

law = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**32)


def _space(architecture: Architecture, *more: dict[str, Any]) -> Space:
    return Space.from_json({"parameters": [*more, architecture.entry()]})


def _config(architecture: Architecture, seed: int) -> dict[str, Any]:
    return _space(architecture).sample(np.random.default_rng(seed))


def test_every_preset_is_tested(architecture: Architecture) -> None:
    assert ARCHITECTURES[architecture.preset] is type(architecture)


def test_no_two_presets_have_a_choice_of_the_same_name() -> None:
    """A name says what its choices are: a network family lists those of several presets beside each other."""
    largest = [
        cls("cell", **{option: rule.high for option, rule in cls.options.items() if isinstance(rule, Count)})
        for cls in ARCHITECTURES.values()
    ]
    names = Counter(gene.rest for architecture in largest for gene in architecture.genes)
    assert not [name for name, count in names.items() if count > 1]


def test_an_entry_makes_the_architecture_again(architecture: Architecture) -> None:
    assert of_entry(json.loads(json.dumps(architecture.entry()))) == architecture
    assert pickle.loads(pickle.dumps(architecture)) == architecture  # noqa: S301


def test_a_space_with_the_entry_is_the_space_written_out(architecture: Architecture) -> None:
    recipe = {"name": "lr", "type": "float", "low": 0.1, "high": 1}
    written, places = written_out({"parameters": [recipe, architecture.entry(), {"name": "seed", "type": "bool"}]})
    assert written["parameters"][1:-1] == architecture.parameters()
    assert places == (0, *[1] * len(architecture.parameters()), 2)
    space = _space(architecture, recipe)
    assert space.to_json()["parameters"][1:] == architecture.parameters()
    assert Space.from_json(space.to_json()) == space
    assert not lint(space)


def test_the_schema_accepts_the_entry(architecture: Architecture) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="checks the schema with a reader that is not ours")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate({"parameters": [architecture.entry()]})
    validator.validate({"parameters": architecture.parameters()})


def test_only_constants_may_change_in_a_training(architecture: Architecture) -> None:
    assert not any(parameter.mutable for parameter in _space(architecture) if parameter.domain.count != 1)


def test_the_architecture_is_recognised_in_a_space(architecture: Architecture) -> None:
    found = of_space(_space(architecture, {"name": "lr", "type": "float", "low": 0.1, "high": 1}))
    assert found is not None
    assert found.parameters() == architecture.parameters()
    assert of_space(Space.from_json({"parameters": found.parameters()[1:]})) is None
    assert of_space(Space.from_json({"parameters": [*found.parameters(), {"name": "cell.x", "type": "bool"}]})) is None


@law
@given(seed=seeds)
def test_the_architecture_is_recognised_in_a_config(architecture: Architecture, seed: int) -> None:
    config = {"lr": 0.1, **_config(architecture, seed)}
    found = of_config(config)
    assert found is not None
    assert type(found) is type(architecture)
    assert found.genotype(config) == architecture.genotype(config)
    assert found.canonical(config) == architecture.canonical(config)
    gene = f"cell.{architecture.genes[0].rest}"
    assert of_config({key: value for key, value in config.items() if key != gene}) is None
    assert of_config({key: value for key, value in config.items() if key != "cell"}) is None


@law
@given(seed=seeds)
def test_a_genotype_makes_the_config_again(architecture: Architecture, seed: int) -> None:
    config = _config(architecture, seed)
    genotype = architecture.genotype({"lr": 0.1, **config})
    assert architecture.config_of(genotype) == config
    _space(architecture).validate(architecture.config_of(genotype))


@law
@given(seed=seeds)
def test_a_mutation_changes_one_gene(architecture: Architecture, seed: int) -> None:
    """And, in a chain, the blocks that come or go with it."""
    space, rng = _space(architecture), np.random.default_rng(seed)
    config = space.sample(rng)
    child = space.mutate(config, rng)
    if all(parameter.domain.count == 1 for parameter in space if parameter.name in config):
        assert child == config
        return
    assert architecture.genotype(child) != architecture.genotype(config)
    assert sum(child[name] != config[name] for name in config.keys() & child.keys()) == 1
    changed = next(name for name in config.keys() & child.keys() if child[name] != config[name])
    assert config.keys() == child.keys() or changed.endswith(".blocks")


@law
@given(seed=seeds)
def test_drawings_lead_from_left_to_right(architecture: Architecture, seed: int) -> None:
    drawing = architecture.drawing(_config(architecture, seed))
    json.dumps(drawing)
    for cell in drawing["cells"]:
        layer = {node["id"]: node["layer"] for node in cell["nodes"]}
        assert len(layer) == len(cell["nodes"])
        assert all(layer[edge["from"]] < layer[edge["to"]] for edge in cell["edges"])
        last = cell["nodes"][-1]["id"]
        assert all(layer[node] < layer[last] for node in layer if node != last)


@law
@given(seed=seeds)
def test_features_have_the_shape_of_the_space(architecture: Architecture, seed: int) -> None:
    one, other = _config(architecture, seed), _config(architecture, seed + 1)
    for matrix in architecture.adjacency(one).values():
        assert not np.tril(matrix).any()
    bits = architecture.path_encoding(one)
    assert bits.shape == architecture.path_encoding(other).shape
    assert set(np.unique(bits)) <= {0, 1}
    assert bits.any() == (architecture.objection(one) is None)


@law
@given(seed=seeds)
def test_connected_means_that_a_path_leads_through(architecture: Architecture, seed: int) -> None:
    config = _config(architecture, seed)
    objection = architecture.objection(config)
    graphs = [architecture.flattened(config)] if isinstance(architecture, Hierarchical) else architecture.graphs(config)
    assert (objection is None) == all(_leads_through(graph.edges, graph.inputs, len(graph.nodes)) for graph in graphs)
    assert objection is None or "nothing leads" in objection


def _leads_through(edges: Any, inputs: int, nodes: int) -> bool:
    """By powers of the adjacency matrix."""
    matrix = np.zeros((nodes, nodes), dtype=np.int64)
    for edge in edges:
        assert edge.source < edge.target
        matrix[edge.source, edge.target] = 1
    reach = np.linalg.matrix_power(np.eye(nodes, dtype=np.int64) + matrix, nodes)
    return bool(reach[:inputs, -1].any())


@law
@given(seed=seeds)
def test_canonical_forms_are_stable(architecture: Architecture, seed: int) -> None:
    """Where a canonical form is a genotype, it is its own canonical form."""
    config = _config(architecture, seed)
    canonical = architecture.canonical(config)
    if architecture.preset in ("nasnet", "chain", "darts") and not architecture.choices:
        assert architecture.canonical(architecture.config_of(canonical)) == canonical


@law
@given(seed=seeds)
def test_a_supernet_that_is_certain_of_an_architecture_yields_it(architecture: Architecture, seed: int) -> None:
    if not isinstance(architecture, OneShot):
        return
    config = _config(architecture, seed)
    rng = np.random.default_rng(seed)
    weights = {}
    for kind, cell in architecture.supercells.items():
        weights[kind] = rng.uniform(0, 0.1, (len(cell.edges), len(cell.ops)))
        for edge, op in enumerate(architecture.paths(config)[kind]):
            if op is not None:
                weights[kind][edge, op] = rng.uniform(0.5, 1)
    assert architecture.discretized(weights) == config


@law
@given(seed=seeds)
def test_any_supernet_yields_an_architecture_of_the_space(architecture: Architecture, seed: int) -> None:
    if not isinstance(architecture, OneShot):
        return
    rng = np.random.default_rng(seed)
    shapes = {kind: (len(cell.edges), len(cell.ops)) for kind, cell in architecture.supercells.items()}
    weights = {kind: rng.dirichlet(np.ones(ops), edges) for kind, (edges, ops) in shapes.items()}
    edge_weights = {kind: rng.uniform(size=edges) for kind, (edges, _) in shapes.items()}
    _space(architecture).validate(architecture.discretized(weights))
    _space(architecture).validate(architecture.discretized(weights, edge_weights))


@law
@given(seed=seeds)
def test_a_config_of_something_else_is_refused_by_name(architecture: Architecture, seed: int) -> None:
    config = _config(architecture, seed)
    gene = f"cell.{architecture.genes[0].rest}"

    def refused(wrong: Config) -> tuple[str | int, ...]:
        with pytest.raises(InvalidInput) as invalid:
            architecture.genotype(wrong)
        return invalid.value.problems[0].path

    assert refused({**config, gene: "what"}) == (gene,)
    assert refused({name: value for name, value in config.items() if name != gene}) == (gene,)
    assert refused({**config, "cell.what": 1}) == ("cell.what",)


@law
@given(text=st.text("|+~0123;=()[],'\" anoe_conxrmlditG", max_size=60))
def test_no_text_breaks_the_reader_of_genotypes(architecture: Architecture, text: str) -> None:
    try:
        config = architecture.config_of(text)
    except InvalidInput:
        return
    assert architecture.config_of(architecture.genotype(config)) == config


def test_what_a_space_does_not_have_is_no_genotype_of_it() -> None:
    few = of_entry({"name": "cell", "preset": "nas-bench-201", "ops": ["skip_connect"]})
    with pytest.raises(InvalidInput, match=r'cell\.0-1: must be one of "skip_connect", got "none"'):
        few.config_of("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    with pytest.raises(InvalidInput, match=r"cell\.0-4: unknown choice of the architecture"):
        few.config_of("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|none~1|none~2|none~3|")


@law
@given(seed=seeds)
def test_an_edit_is_one_step_to_another_architecture_of_the_space(architecture: Architecture, seed: int) -> None:
    space, config = _space(architecture), _config(architecture, seed)
    edits = [edit for places in architecture.edits(config).values() for place in places for edit in place]
    assert bool(edits) == any(each.domain.count != 1 and each.name in config for each in space)
    found = set()
    for edit in edits:
        child = space.replace(config, edit, np.random.default_rng(0))
        space.validate(child)
        found.add(space.key(child))
    assert space.key(config) not in found
    assert len(found) == len(edits) or architecture.preset == "nasnet", "each leads elsewhere"
    if architecture.preset in ("nas-bench-201", "hierarchical", "nasnet"):
        assert all(len(edit) == 1 for edit in edits)


def test_an_edge_of_darts_takes_its_operation_along() -> None:
    darts = of_entry({"name": "cell", "type": "cell", "preset": "darts", "nodes": 2})
    assert isinstance(darts, Darts)
    config = darts.config_of(
        "Genotype(normal=[('skip_connect', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('avg_pool_3x3', 1)], "
        "normal_concat=[2, 3], reduce=[('skip_connect', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 1), "
        "('avg_pool_3x3', 2)], reduce_concat=[2, 3])"
    )
    edits = darts.edits(config)
    assert {kind: len(places) for kind, places in edits.items()} == {"op": 8, "edge": 4}
    of_normal = [edit for place in edits["edge"][:2] for edit in place]
    assert of_normal == [
        {"cell.normal.3.inputs": "1-2", "cell.normal.3.op0": "avg_pool_3x3", "cell.normal.3.op1": "sep_conv_3x3"},
        {"cell.normal.3.inputs": "0-2", "cell.normal.3.op0": "sep_conv_3x3", "cell.normal.3.op1": "avg_pool_3x3"},
    ]
    for edit in (edit for place in edits["edge"] for edit in place):
        before, after = (darts.cells(each) for each in (config, {**config, **edit}))
        (kind,) = (kind for kind in before if before[kind] != after[kind])
        assert len(set(before[kind][1].edges) & set(after[kind][1].edges)) == 1, "the other edge is where it was"
        assert sorted(op for op, _ in before[kind][1].edges) == sorted(op for op, _ in after[kind][1].edges)
