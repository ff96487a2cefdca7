"""Architectures, the progress of a supernet and the trust report on the page of a study."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.architecture_schemas import Pair
from service.dashboard.cells import kind_of, picture, pictures
from service.dashboard.rendering import _ENVIRONMENT
from service.dashboard.sketches import SIDE, scatter
from service.database import Database
from service.models import DEFAULT_PROJECT_ID
from service.repositories.dashboard import DashboardReads
from service.repositories.studies import Studies
from spaces import Space
from spaces.architectures import ARCHITECTURES, of_space

Config = dict[str, Any]
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CELL = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
DARTS: dict[str, Any] = {
    "space": {"parameters": [CELL]},
    "objective": {"type": "train", "family": "cell", "dataset": "digits", "epochs": 1},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "darts", "epochs": 3, "retrain": 6, "trusted": 0},
    "budget": {},
    "checks": False,
}


def report(leader: str, weight: float, **more: float) -> dict[str, float]:
    """What a supernet tells of an epoch in which this operation leads on every edge."""
    rest = (1 - weight) / 4
    weights = {f"weight.cell.{edge}.{op}": weight if op == leader else rest for edge in EDGES for op in OPS}
    return {"train_loss": 1.0, "val_accuracy": 0.4, "alpha_entropy": 1.5, "skip_share": 0.0, **weights, **more}


def genotype(op: str) -> str:
    return f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|"


def ranking(count: int = 6) -> list[dict[str, Any]]:
    return [
        {"config": {f"cell.{edge}": OPS[1 + (place + k) % 4] for k, edge in enumerate(EDGES)}, "score": 1 - place / 30}
        for place in range(count)
    ]


@pytest.fixture
def supernet(create: Callable[..., int], pool: Any, turn: Callable[[], None]) -> Any:
    """The assignment of a one-shot study's supernet, which has begun."""
    create(**DARTS)
    turn()
    return pool.first


def test_the_weights_are_shown_while_it_is_trained(
    supernet: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    assert "The first epoch is under way" in text_of("/studies/s")
    pool.report(supernet, 1, **report("skip_connect", 0.3))
    pool.report(supernet, 2, **report("nor_conv_3x3", 0.6, **{"skips.cell": 3.0, "curvature": 0.25}))
    turn()
    text = text_of("/studies/s/parts/architecture")
    assert len(re.findall(r'<svg class="weights"', text)) == len(EDGES)
    assert text.count("<polyline data-op=") == len(EDGES) * len(OPS)
    assert "nor_conv_3x3 0.6" in text
    assert genotype("nor_conv_3x3") in text, "what the weights speak for now"
    assert genotype("skip_connect") in text, "and before"
    assert "may be collapsing to skips" in text
    assert 'aria-label="curvature from 0.25 to 0.25"' in text
    assert "assay-report from:body throttle" in text, "it is live"
    page = text_of("/studies/s")
    assert page.count('id="architecture"') == 1
    assert 'class="caution"' in page
    for path in ("/studies/s/trials/0", "/studies/s/runs/0", "/studies/s"):
        assert "weight.cell" not in text_of(path), "hundreds of numbers are no facts"


def test_what_it_found_is_shown_with_the_trainings(
    supernet: Any,
    pool: Any,
    turn: Callable[[], None],
    text_of: Callable[[str], str],
    browse: Callable[..., httpx.Response],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool.report(supernet, 1, **report("nor_conv_3x3", 0.6))
    warning = "3 edges of the cell cell only carry on <what> they read"
    details = {
        "ranking": ranking(30),
        "genotypes": [genotype("skip_connect"), genotype("skip_connect"), genotype("nor_conv_3x3")],
        "genotype": genotype("skip_connect"),
        "warnings": [warning],
    }
    pool.finish(supernet, details=details, val_accuracy=0.5)
    turn()
    turn()
    text = text_of("/studies/s")
    assert "0 of the ranked configs were trained by themselves; 5 are needed" in text
    left = [0.9, 0.8, 0.85, 0.6, 0.5, 0.4]
    while left:
        for one in list(pool.open.values()):
            pool.finish(one, val_accuracy=left.pop(0))
        turn()
        turn()
    text = text_of("/studies/s/parts/architecture")
    assert "1–2</th>" in text
    assert re.search(r'<tbody><tr><th scope="row">3</th>', text), "the newest first"
    assert "&lt;what&gt;" in text
    assert 'data-verdict="trusted"' in text
    assert re.search(r"of the first tenth \(1\) truly there 1 \([01].* to 1\), by chance 0.17<", text)
    assert len(re.findall("<circle ", text)) == 6
    assert "20 of the 30 that were ranked" in text
    assert "throttle" not in text, "it has ended"
    best = browse("/api/v1/studies/s/trials/1/architecture").json()
    assert text.count(f'<p class="genotype"><code>{best["genotype"]}</code>') == 1
    assert f"<code>{best['genotype']}</code>" in text_of("/studies/s/trials/1")
    assert "Architecture <small>" not in text_of("/studies/s/trials/0"), "the supernet's trial is no architecture"
    monkeypatch.setattr("service.dashboard.supernets.MOST_ROWS", 4)
    assert "4 of the 30 that were ranked" in text_of("/studies/s/parts/architecture")


def test_the_supernets_own_trial_is_no_result(
    supernet: Any, pool: Any, turn: Callable[[], None], browse: Callable[..., httpx.Response], text_of: Any
) -> None:
    pool.report(supernet, 1, val_accuracy=0.25)
    turn()
    assert browse("/studies/s/charts/curves.json").json()["running"] == [0]
    pool.finish(supernet, details={"ranking": ranking()}, val_accuracy=0.625)
    turn()
    turn()
    pool.finish(pool.first, val_accuracy=0.5)
    turn()
    assert browse("/studies/s/charts/outcomes.json").json()["points"]["value"] == [0.5]
    assert 0 not in [curve["trial"] for curve in browse("/studies/s/charts/curves.json").json()["curves"]]
    for path in ("/studies/s", "/studies/s?sort=best", "/studies/s?sort=worst"):
        assert ">0.625</td>" not in text_of(path)
    assert 'data-mark="supernet"' in text_of("/studies/s")


def test_a_study_without_architecture_shows_none(stage: Any, text_of: Callable[[str], str]) -> None:
    stage.end(stage.start(0), 0.5)
    assert "architecture-title" not in text_of("/studies/s")
    assert "data-hx-get" not in text_of("/studies/s/parts/architecture")
    assert "architecture-title" not in text_of("/studies/s/trials/0")


def test_an_imported_supernet_may_have_told_anything(
    supernet: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    pool.report(supernet, 1, val_accuracy=0.5)
    details = {"ranking": ranking(), "genotypes": ["nonsense", 7], "genotype": {}, "warnings": 3}
    pool.finish(supernet, details=details, val_accuracy=0.5)
    turn()
    assert "nonsense" in text_of("/studies/s")


def test_a_method_that_learns_no_weights_says_so(
    supernet: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    pool.report(supernet, 1, **report("none", 0.2))
    turn()
    text = text_of("/studies/s")
    assert "learns no weights of operations" in text
    assert '<svg class="weights"' not in text


def test_operations_that_the_space_rules_out_are_nothing_learnt(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    left = ("none", "skip_connect", "nor_conv_3x3")
    create(**{**DARTS, "space": {"parameters": [{**CELL, "choices": {"0-1": left}}]}})
    turn()
    narrowed = {f"weight.cell.0-1.{op}": 1 / 3 if op in left else 0.0 for op in OPS}
    pool.report(pool.first, 1, **report("none", 0.2, **narrowed))
    turn()
    text = text_of("/studies/s")
    assert "learns no weights of operations" in text
    assert genotype("none") not in text
    narrowed |= {"weight.cell.0-1.none": 0.2, "weight.cell.0-1.skip_connect": 1 - 0.2 - 1 / 3}
    pool.report(pool.first, 2, **report("none", 0.2, **narrowed))
    turn()
    assert "learns no weights of operations" not in text_of("/studies/s")


def test_weights_speak_for_what_constraints_allow(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    never = {"parameter": "cell.0-1", "equals": "none"}
    skips = [{"parameter": f"cell.{edge}", "equals": "skip_connect"} for edge in ("0-1", "0-2")]
    create(**{**DARTS, "space": {"parameters": [CELL], "constraints": [{"forbid": {"any": [never, {"all": skips}]}}]}})
    turn()
    ruled_out = {"weight.cell.0-1.none": 0.0, **{f"weight.cell.0-1.{op}": 0.25 for op in OPS[1:]}}
    pool.report(pool.first, 1, **report("none", 0.2, **ruled_out))
    turn()
    assert "learns no weights of operations" in text_of("/studies/s")
    heavier = {"weight.cell.0-2.nor_conv_1x1": 0.3, "weight.cell.0-2.skip_connect": 0.4}
    pool.report(pool.first, 2, **report("skip_connect", 0.6, **heavier))
    turn()
    text = text_of("/studies/s")
    assert genotype("skip_connect") not in text
    assert genotype("skip_connect").replace("+|skip_connect~0|", "+|nor_conv_1x1~0|", 1) in text


def test_reports_are_thinned_evenly_and_the_last_stays(
    supernet: Any, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    for epoch in range(1, 24):
        pool.report(supernet, epoch, val_accuracy=epoch / 100)
    turn()
    with sqlite_database.session(write=False) as session:
        reads = DashboardReads(session, Studies(session, DEFAULT_PROJECT_ID).get("s").id)
        run = reads.supernet()
        assert run is not None
        for limit in (1, 5, 10, 100):
            steps = [step for step, _ in reads.progress(run, limit)]
            assert len(steps) <= limit
            assert steps[-1] == 23
            assert len({b - a for a, b in pairwise(steps)}) <= 1


@st.composite
def drawings(draw: st.DrawFn) -> Config:
    preset = draw(st.sampled_from(sorted(ARCHITECTURES)))
    space = Space.from_json({"parameters": [{"name": "cell", "type": "cell", "preset": preset}]})
    architecture = of_space(space)
    assert architecture is not None
    values: Config = {}
    for gene in architecture.genes:
        if gene.least is None or int(values.get(gene.least[0], 0)) >= gene.least[1]:
            values[gene.rest] = draw(st.sampled_from(gene.choices))
    return architecture.drawing(architecture.config(values))


@given(drawings())
def test_nothing_overlaps_in_a_drawing_and_edges_lead_to_the_right(drawing: Config) -> None:
    for cell, drawn in zip(drawing["cells"], pictures(drawing), strict=True):
        boxes = [*drawn.nodes, *drawn.labels]
        assert len(drawn.labels) == sum(edge["op"] != "concat" for edge in cell["edges"])
        assert len(drawn.lines) == len(cell["edges"])
        for place, one in enumerate(boxes):
            assert one.x - one.width / 2 >= 0
            assert one.y - one.height / 2 >= 0
            assert one.x + one.width / 2 <= drawn.width
            assert one.y + one.height / 2 <= drawn.height
            for other in boxes[:place]:
                apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
                assert apart_x or abs(one.y - other.y) >= (one.height + other.height) / 2
        for line in drawn.lines:
            ends = [
                float(x)
                for x in re.findall(r"[MH]([\d.]+)|C[\d.]+ [\d.]+ [\d.]+ [\d.]+ ([\d.]+)", line.path)
                for x in x
                if x
            ]
            assert ends == sorted(ends)
        for edge in cell["edges"]:
            assert edge["op"] in drawn.told


def test_hostile_words_stay_words() -> None:
    """The names of nodes and operations are those of the presets, but nothing rests on that."""
    node = [{"id": "0", "label": "<b>", "layer": 0}, {"id": "1", "label": '"', "layer": 1}]
    cell = {"name": '"><script>', "nodes": node, "edges": [{"from": "0", "to": "1", "op": "<i>"}]}
    template = _ENVIRONMENT.from_string('{% from "cells.html" import drawn %}{{ drawn(p) }}')
    root = ElementTree.fromstring(template.render(p=[picture(cell)]))
    assert {each.tag for each in root.iter()} <= {"div", "figure", "figcaption", "svg", "g", "path", "rect", "text"}


def test_operations_are_told_apart_by_kind() -> None:
    kinds = {"none": "none", "skip_connect": "skip", "nor_conv_1x1": "conv", "sep_conv_5x5": "separable"}
    kinds |= {"dil_conv_3x3": "dilated", "max_pool_3x3": "pool", "concat": "join", "motif-3": "other"}
    assert {op: kind_of(op) for op in kinds} == kinds
    assert kind_of("conv_3x3+skip") == "conv"


def test_a_scatter_stays_within_its_frame() -> None:
    pairs = [Pair(trial=n, rank=n, score=score, value=value) for n, (score, value) in enumerate([(0.1, 5), (0.9, -5)])]
    found = scatter(pairs)
    assert found is not None
    assert [(x, y) for x, y, _ in found.points] == [(0, 0), (SIDE, SIDE)]
    assert scatter([]) is None
