"""The checks and the finalization on the page of a study."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.dashboard.sketches import HEIGHT, WIDTH, polyline
from workers.protocol import Finished, Result

HOSTILE = "<script>alert(1)</script>"
TRAIN: dict[str, Any] = {
    "space": {"parameters": [{"name": "width", "type": "int", "low": 16, "high": 64, "default": 24}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "budget": {"max_runs": 2},
    "seed": 1,
}
FOUND: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "baseline": ({"val_accuracy": 0.9567}, {"name": HOSTILE}),
    "overfit": ({}, {"passed": True, "score": "accuracy", "value": 1.0, "epochs": 4, "examples": 64, "why": ""}),
    "lr_range": ({}, {"lrs": [1e-4, 1e-2, 1.0], "losses": [2.3, 0.5, 2.0], "low": 0.01, "high": 0.3, "diverged": 1.0}),
    "refit": ({"test_accuracy": 0.975}, {"card": {"trial": 1}}),
    "ensemble": (
        {},
        {
            "members": [{"trial": 1, "weight": 0.75}, {"trial": 0, "weight": 0.25}],
            "best": 1,
            "single": {"test_loss": 0.2},
            "ensemble": {"test_loss": 0.15},
            "chosen": "seeds",
            "kinds": [{"kind": "seeds", "networks": 3, "scores": {"test_loss": 0.15}}],
            "calibration": {
                "single": {
                    "nll": 0.2,
                    "ece": 0.05,
                    "temperature": 1.5,
                    "scaled": {"nll": 0.18, "ece": 0.02},
                    "bins": [{"confidence": 0.9, "accuracy": 0.8, "share": 1.0}],
                }
            },
        },
    ),
}


@pytest.fixture
def drive(create: Callable[..., int], pool: Any, turn: Callable[[], None]) -> Callable[[], None]:
    """Ends whatever is submitted, the jobs as FOUND says."""

    def go() -> None:
        turn()
        while pool.open:
            for number, one in enumerate(list(pool.open.values())):
                if one.task != "job":
                    pool.finish(one, val_accuracy=0.9 + 0.01 * number)
                    continue
                metrics, details = FOUND.get(one.job.kind, ({"val_accuracy": 0.93}, {}))
                if one.checkpoint:
                    one.checkpoint.write_bytes(b"model")
                del pool.open[one.key]
                pool.events.append(Finished(one.key, Result(metrics, one.checkpoint is not None, details)))
            turn()

    return go


def test_the_page_tells_what_was_found_before_and_after(
    browse: Callable[..., httpx.Response],
    text_of: Callable[[str], str],
    create: Callable[..., int],
    drive: Callable[[], None],
) -> None:
    create(**TRAIN)
    assert "Checks" in text_of("/studies/s")
    drive()
    text = text_of("/studies/s")
    assert re.search(r"Can learn 64 examples by heart:\s*<b>yes</b>", text)
    assert "search <b>0.01</b> to <b>0.3</b>" in text
    page = browse("/studies/s").text
    assert HOSTILE not in page
    assert "<polyline" in page
    assert browse("/studies/s/charts/outcomes.json").json()["baseline"] == 0.9567

    answer = browse(
        "/studies/s/finalize", method="POST", data={"project": "default", "top": "2", "seeds": "2", "data": "train"}
    )
    assert answer.status_code in (200, 303), answer.text
    drive()  # the confirmations
    drive()  # and what follows from them
    text = text_of("/studies/s")
    assert "best mean" in text
    assert "cannot be told from the best" in text
    assert "test_accuracy <b>0.975</b>" in text
    for row in (["single network", "1", "0.2", "of trial 1"], ["seeds of the best config", "3", "0.15", "best on"]):
        assert re.search(".*".join(row), text, re.DOTALL)
    model = browse("/api/v1/studies/s/final").json()["model"]
    assert f"/api/v1/studies/s/jobs/{model}/model" in browse("/studies/s").text


def test_an_ensemble_of_numbers_has_no_calibration(
    text_of: Callable[[str], str],
    browse: Callable[..., httpx.Response],
    create: Callable[..., int],
    drive: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is of probabilities: what is found about other ensembles is without it."""
    metrics, details = FOUND["ensemble"]
    monkeypatch.setitem(FOUND, "ensemble", (metrics, {k: v for k, v in details.items() if k != "calibration"}))
    create(**TRAIN)
    drive()
    asked = {"project": "default", "top": "2", "seeds": "2", "data": "train"}
    assert browse("/studies/s/finalize", method="POST", data=asked).status_code in (200, 303)
    drive()
    drive()
    text = text_of("/studies/s")
    assert "The chosen ensemble" in text
    assert "reliability" not in text


def test_a_sketch_stays_within_its_frame() -> None:
    points = [
        tuple(map(float, pair.split(","))) for pair in polyline([1e-6, 1e-3, 10], [1, 0.2, 1e9], log_x=True).split()
    ]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert polyline([], []) == ""
    assert polyline([1.0], [2.0])
