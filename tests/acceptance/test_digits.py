"""The study of `make demo`, on Ray, with a power cut in its middle: what the README promises of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

STUDY = Path(__file__).parents[2] / "examples" / "studies" / "digits-lenet.yaml"


def test_lenet_on_digits_gets_better_than_97_percent_though_the_service_is_killed(
    start_service: Callable[..., Any],
) -> None:
    service = start_service("--workers", "2")
    service.create(yaml.safe_load(STUDY.read_text()))
    service.wait_for(lambda: service.study("digits-lenet")["counts"]["succeeded"] >= 32, "the second rung", 150)
    service.kill()
    service.start()
    study = service.wait_until_finished("digits-lenet", 250)
    assert study["state"] == "completed"
    assert study["counts"]["succeeded"] == 60
    assert study["best"]["metrics"]["val_accuracy"] >= 0.97
    assert study["best"]["fidelity"] == 27
    assert study["test"]["run"] == study["best"]["run"]
    assert study["test"]["metrics"]["test_accuracy"] >= 0.95
    events = [event for run in service.items("/studies/digits-lenet/runs") for event in run["metrics"]]
    assert not any(name.startswith("test_") for name in events), "no run has seen the test split"
