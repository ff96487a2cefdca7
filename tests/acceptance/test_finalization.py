"""From a preset to a model in the hand: a study of an uploaded table on a real service, by the command line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_wine

pytestmark = pytest.mark.slow

STUDY = """\
name: wines
space:
  preset: minimal
  parameters: [{name: depth, type: constant, value: 1}]
  fidelity: {name: epochs, low: 3, high: 9}
objective: {type: train, family: mlp, dataset: wines}
metrics: [{name: val_accuracy, direction: maximize}]
algorithm: {name: bohb}
budget: {max_runs: 12}
parallelism: 2
seed: 1
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The wines with names for their growers, and a cell that is missing."""
    wine = load_wine()
    path = tmp_path / "wines.csv"
    rows = [[*map(str, features), f"grower {label}"] for features, label in zip(wine.data, wine.target, strict=True)]
    rows[3][2] = ""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*wine.feature_names, "grower"], *rows])
    return path


def test_a_table_becomes_a_model_that_answers(start_service: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    service = start_service("--pool", "local", "--workers", "2")

    def assay(*words: str) -> str:
        command = [sys.executable, "-m", "assay", *words]
        environment = {**os.environ, "ASSAY_URL": service.url}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assay("dataset", "upload", str(table), "--target", "grower")
    (tmp_path / "study.yaml").write_text(STUDY)
    assay("study", "create", "-f", "study.yaml", "--wait")
    checks = {job["kind"]: job for job in json.loads(assay("checks", "wines", "--json"))}
    assert {job["state"] for job in checks.values()} == {"succeeded"}
    assert checks["overfit"]["details"]["passed"]
    assert checks["baseline"]["metrics"]["val_accuracy"] > 0.8
    assert "logistic" in assay("checks", "wines")

    final = json.loads(assay("finalize", "wines", "--top", "2", "--seeds", "3", "--json"))
    assert final["state"] == "succeeded"
    assert [len(one["scores"]) for one in final["ranking"]] == [3, 3]
    assert final["test"]["test_accuracy"] > 0.85
    assert final["ensemble"]["ensemble"]["val_loss"] <= final["ensemble"]["single"]["val_loss"]
    assert final["card"]["table"]["classes"] == ["grower 0", "grower 1", "grower 2"]

    answers = list(csv.DictReader(assay("predict", "wines.safetensors", str(table)).splitlines()))
    with table.open(newline="") as file:
        truth = [row["grower"] for row in csv.DictReader(file)]
    right = sum(answer["class"] == true for answer, true in zip(answers, truth, strict=True))
    assert right / len(truth) > 0.9
    assert sum(float(answers[3][f"p(grower {label})"]) for label in range(3)) == pytest.approx(1, abs=1e-4)
    assert "all as stored" in assay("replay", "wines", "--verify")


def test_the_proposed_range_is_searched_and_a_finalization_called_off(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    service = start_service("--pool", "local", "--workers", "2")

    def assay(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "assay", *words]
        environment = {**os.environ, "ASSAY_URL": service.url}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    study = STUDY.replace("dataset: wines", "dataset: wine").replace("max_runs: 12", "max_runs: 2")
    (tmp_path / "study.yaml").write_text(study + "checks: {baseline: false, overfit: false}\n")
    told = assay("study", "create", "-f", "study.yaml", "--lr-range", "--yes", "--wait")
    assert "lr: 0.0001 to 0.3 becomes" in told
    studies = {one["name"]: one for one in json.loads(assay("study", "list", "--json"))}
    assert {name: one["state"] for name, one in studies.items()} == {"wines": "completed", "wines-range": "cancelled"}
    (lr,) = (one for one in studies["wines"]["space"]["parameters"] if one["name"] == "lr")
    assert f"becomes {lr['low']:.5g} to {lr['high']:.5g}" in told
    assert "there is nothing to change" in assay("study", "revise", "wines", "--yes", code=1)
    assert "wider" in assay("study", "revise", "wines", "--name", "wider", "--change", "{widen: lr, high: 5}")

    assay("finalize", "wines", "--top", "1", "--seeds", "50", "--no-wait")
    assert "is cancelled" in assay("finalize", "wines", "--cancel")
    assert "no finalization of the study is under way" in assay("finalize", "wines", "--cancel", code=5)
