"""What the benchmark of the example studies says of a study, and that it can say it of all of them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks import studies
from benchmarks.studies import FOLDER, Row, Scored, chosen, default_of, keep, run, shown, stored
from spaces import Space
from workers.catalogue import DATASETS, FAMILIES
from workers.objectives import OBJECTIVES
from workers.training.settings import resolve

ROW = Row(
    study="one",
    family="mlp",
    dataset="wine",
    algorithm="bohb",
    runs=4,
    minutes=0.1,
    score="accuracy",
    maximize=True,
    fidelity=2,
    best=Scored(0.9, 0.8),
    default=Scored(0.8, 0.7),
    baseline=Scored(0.7, 0.75, "logistic regression"),
    config={"lr": 0.1},
    code=None,
)
TINY = """\
name: wine
space: {preset: minimal, fidelity: {name: epochs, low: 1, high: 2}}
objective: {type: train, family: mlp, dataset: wine}
metrics: [{name: val_loss, direction: minimize}, {name: parameters, at_most: 100}]
algorithm: {name: bohb, eta: 2}
budget: {max_runs: 5}
seed: 3
"""


def test_the_best_has_to_be_better_than_both():
    assert ROW.better_on == "both"
    assert replace(ROW, maximize=False).better_on == "neither"
    assert replace(ROW, default=Scored(0.8, 0.8)).better_on == "validation", "a draw is no win"
    assert replace(ROW, baseline=Scored(0.95, 0.75)).better_on == "test"


def test_whoever_breaks_a_constraint_is_worse():
    assert replace(ROW, default=Scored(0.99, 0.99, keeps=False)).better_on == "both"
    assert replace(ROW, best=Scored(0.99, 0.99, keeps=False)).better_on == "neither"
    assert "0.99 (breaks a constraint)" in shown(replace(ROW, default=Scored(0.99, 0.99, keeps=False)))


def test_a_row_is_kept_beside_those_of_other_times(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "RESULTS", tmp_path / "results" / "studies.json")
    keep(ROW)
    keep(replace(ROW, study="another"))
    keep(replace(ROW, runs=5))
    assert stored() == {"another": replace(ROW, study="another"), "one": replace(ROW, runs=5)}
    assert json.loads(json.dumps(asdict(ROW)))["best"]["validation"] == 0.9


@pytest.mark.parametrize("study", chosen(FOLDER, ""), ids=lambda study: study["name"])
def test_every_family_has_a_study_whose_default_can_be_trained_alone(study):
    objective, check = study["objective"], OBJECTIVES["train"]
    assert study["algorithm"]["name"] in ("bohb", "priorband")
    full = {**study, "space": check.written_out(objective, study["space"]).space}
    assert not check.check(objective, full)
    default = default_of(full, study)
    space = Space.from_json(default["space"])
    assert space.size() == 1
    assert space.default() == Space.from_json(full["space"]).default()
    assert space.fidelity == Space.from_json(full["space"]).fidelity
    assert not check.check(objective, default)


@pytest.mark.parametrize("study", chosen(FOLDER, ""), ids=lambda study: study["name"])
def test_the_default_of_a_study_is_that_of_its_family(study):
    """A better one cannot be said to be found, and a worse one, as by a constant or bounds, is easy to beat."""
    objective = study["objective"]
    space = Space.from_json(OBJECTIVES["train"].written_out(objective, study["space"]).space)
    hyperparameters = FAMILIES[objective["family"]].hyperparameters(DATASETS[objective["dataset"]].inputs)
    assert resolve(hyperparameters, space.default()) == resolve(hyperparameters, {})


def test_no_family_is_without_a_study():
    of_architectures = {"cell", "chain_net"}  # whose studies are under examples/studies/nas
    assert {study["objective"]["family"] for study in chosen(FOLDER, "")} == set(FAMILIES) - of_architectures


def test_an_unknown_study_is_refused():
    with pytest.raises(SystemExit, match="no study lenett in"):
        chosen(FOLDER, "lenett")


@pytest.mark.slow
def test_a_study_is_measured_on_a_real_service(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "wine.yaml").write_text(TINY)
    (row,) = run(chosen(tmp_path, ""), ["--pool", "local", "--workers", "2"], tmp_path / "data")
    assert (row.study, row.family, row.dataset, row.score, row.maximize) == ("wine", "mlp", "wine", "loss", False)
    assert (row.runs, row.fidelity) == (5, 2)
    assert row.baseline.name == "logistic regression"
    assert row.baseline.validation != row.baseline.test
    assert 0 < row.baseline.validation < row.default.validation, "one epoch or two of 107 examples teach little"
    assert not row.default.keeps, "128 units have more than 100 numbers"
    assert row.minutes < 2
