"""The path of hyperparameters that descend, on the page of a study."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from service.dashboard.trends import HEIGHT, WIDTH, Scale, points, trend

STUDY: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 1e-3},
            {"name": "label_smoothing", "type": "float", "low": 0, "high": 0.3},
            {"name": "width", "type": "constant", "value": 8},
        ]
    },
    "objective": {"type": "train", "family": "mlp", "dataset": "wine", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "hypergradient", "epochs": 4, "warmup": 0.25},
    "budget": {},
    "checks": False,
}


def report(weight_decay: float, label_smoothing: float, held: float) -> dict[str, float]:
    hyper = {"hyper.weight_decay": weight_decay, "hyper.label_smoothing": label_smoothing}
    losses = {"held_loss": held, "val_loss": held + 0.1, "train_loss": held - 0.1}
    return {"val_accuracy": 0.4, "hypergradient_norm": 0.5, **losses, **hyper}


@pytest.fixture
def descending(create: Callable[..., int], pool: Any, turn: Callable[[], None]) -> Any:
    """The assignment of the first run, which has begun."""
    create(**STUDY)
    turn()
    return pool.first


def lines_of(text: str) -> dict[str, str]:
    """The points of every line of the charts, by its name."""
    return {
        name: drawn for drawn, name in re.findall(r'<polyline data-line="\w+" points="([^"]*)"><title>(\S+) ', text)
    }


def test_the_path_is_drawn_while_it_is_gone(
    descending: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    text = text_of("/studies/s")
    assert "The first epoch is under way" in text
    assert text.count('id="descent"') == 1
    pool.report(descending, 1, **report(1e-3, 0.15, 1.0))
    pool.report(descending, 2, **report(1e-1, 0.075, 0.5))
    turn()
    text = text_of("/studies/s/parts/descent")
    lines = lines_of(text)
    # from the default, over four epochs; a range on a log scale is even in the logarithm
    assert lines["weight_decay"] == "0,22.4 40,22.4 80,0.0"
    assert lines["label_smoothing"] == "0,28.0 40,28.0 80,42.0"
    assert lines.keys() - {"weight_decay", "label_smoothing"} == {"held_loss", "val_loss", "train_loss"}
    assert 'aria-label="weight_decay from 0.001 to 0.1"' in text
    assert "0.001 → 0.1, the upper end<" in text
    assert "0.15 → 0.075<" in text
    assert re.findall(r'<span class="scale">(.*?)</span>\n', text) == [
        "<span>0.1</span><span>log</span><span>1e-06</span>",
        "<span>0.3</span><span>0</span>",
        "<span>1.1</span><span>0.4</span>",
    ]
    assert "2 of 4 epochs" in text
    assert re.search(r'<rect x="-2" y="-2" width="42.0"', text), "one epoch of four is for the weights alone"
    assert "assay-report from:body throttle" in text, "it is live"
    assert 'aria-label="hypergradient_norm from 0.5 to 0.5"' in text


def test_losses_share_a_scale(
    descending: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    pool.report(descending, 1, **report(1e-3, 0.15, 1.0))
    pool.report(descending, 2, **report(1e-3, 0.15, 0.4))
    turn()
    text = text_of("/studies/s/parts/descent")
    low, high = 0.4 - 0.1, 1.0 + 0.1
    for name, values in {"held_loss": (1.0, 0.4), "val_loss": (1.1, 0.5), "train_loss": (0.9, 0.3)}.items():
        ys = [float(point.split(",")[1]) for point in lines_of(text)[name].split()]
        assert ys == pytest.approx([HEIGHT * (high - value) / (high - low) for value in values], abs=0.06)


def test_the_places_that_were_trained_alone_are_marked_and_listed(
    descending: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    pool.report(descending, 1, **report(1e-4, 0.0, 1.0))
    ranking = [
        {"config": {"weight_decay": 1e-4, "label_smoothing": 0.0}, "score": 1.0, "epoch": 4},
        {"config": {"weight_decay": 1e-3, "label_smoothing": 0.15}, "score": 0.0, "epoch": 0},
    ]
    pool.finish(descending, details={"ranking": ranking, "hypergradient": {"halvings": 2}}, val_accuracy=0.5)
    turn()
    turn()
    assert "went on half as fast, 2 times over" in text_of("/studies/s")
    pool.finish(pool.first, val_accuracy=0.875)
    turn()
    text = text_of("/studies/s/parts/descent")
    assert "throttle" not in text, "it has ended"
    places = re.findall(r'<path d="M([\d.]+) ([\d.]+)h.01"><title>(.*?)</title>', text)
    assert [place[0] for place in places] == ["160.0", "0.0"] * 2
    assert places[0][2] == "trial 1: epoch 4, reached 0.875"
    assert places[1][2] == "trial 2: epoch 0"
    assert places[2][1] == "56.0", "at the lower end"
    table = text[text.index('<table id="places"') :]
    first, second = re.findall(r"<tr><th scope=\"row\".*?</tr>", table)
    assert '<th scope="row" class="num">4</th>' in first
    assert '<td class="num">0.0001</td><td class="num">0</td>' in first
    assert '<a href="/studies/s/trials/1">1</a>' in first
    assert ">0.875<" in first
    assert 'data-state="running"' in second or 'data-state="pending"' in second


def test_an_imported_descent_may_have_told_anything(
    descending: Any, pool: Any, turn: Callable[[], None], text_of: Callable[[str], str]
) -> None:
    pool.report(descending, 1, val_accuracy=0.5)
    ranking = [{"config": {"weight_decay": 1e-4}, "score": 1.0}]
    pool.finish(descending, details={"ranking": ranking, "hypergradient": "no"}, val_accuracy=0.5)
    turn()
    turn()
    text = text_of("/studies/s")
    assert lines_of(text) == {"weight_decay": "0,22.4", "label_smoothing": "0,28.0"}, "where it began"
    assert '<th scope="row" class="num">–</th>' in text


def test_other_studies_have_no_descent(stage: Any, text_of: Callable[[str], str]) -> None:
    stage.end(stage.start(0), 0.5)
    assert 'id="descent"' not in text_of("/studies/s")
    assert "descent-title" not in text_of("/studies/s/parts/descent")


def test_a_log_scale_has_its_powers_of_ten() -> None:
    scale = Scale(1e-6, 0.1, log=True)
    assert scale.grid == pytest.approx([HEIGHT * part / 5 for part in (4, 3, 2, 1)], abs=0.06)
    assert [scale.y(value) for value in (1e-7, 1e-6, 0.1, 3.0)] == [HEIGHT, HEIGHT, 0, 0], "edges are kept to"
    assert Scale(0.0, 2.0).grid == [14, 28, 42]


def test_numbers_that_are_far_apart_have_a_log_scale() -> None:
    assert not Scale.around([1.0, 20.0], 1.5).log
    assert Scale.around([1.0, 40.0], 1.5).log
    assert not Scale.around([0.0, 40.0], 1.5).log
    assert not Scale.around([1.0, 1e9]).log


def test_a_line_of_one_point_and_of_equal_ones_stays_within() -> None:
    assert points([3.0], [2.0], Scale.around([2.0])) == f"0,{HEIGHT:.1f}"
    found = trend("loss", [(1.0, {"loss": 2.0}), (2.0, {"other": 1.0}), (3.0, {"loss": 2})])
    assert found is not None
    assert found.points == f"0,{HEIGHT:.1f} {WIDTH},{HEIGHT:.1f}"
    assert trend("loss", [(1.0, {"loss": None})]) is None
