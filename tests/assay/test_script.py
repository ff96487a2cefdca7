"""The calls of a training script: in a run they write what a worker reads, by hand they say what they would."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import assay
from assay import script

ROOT = Path(__file__).parents[2]
VARIABLES = ("CONFIG", "SEED", "FIDELITY", "CHECKPOINT_DIR", "RESUME_DIR", "REPORTS", "STOP")


@pytest.fixture(autouse=True)
def no_run(monkeypatch):
    """A script that has just been started, by hand."""
    for name in VARIABLES:
        monkeypatch.delenv(f"ASSAY_{name}", raising=False)
    monkeypatch.setattr(script, "_last_step", None)
    monkeypatch.setattr(script, "_told_that_there_is_no_run", False)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Makes this process a script within a run; answers the lines that it has reported."""
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports.jsonl"))
    monkeypatch.setenv("ASSAY_STOP", str(tmp_path / "stop"))
    return lambda: [json.loads(line) for line in (tmp_path / "reports.jsonl").read_text().splitlines()]


def test_a_report_is_a_line(run):
    assert not assay.report(step=1, val_loss=0.5, **{"val/accuracy": 0.75})
    assert not assay.report(step=2.5, val_loss=1)
    assert run() == [
        {"step": 1, "metrics": {"val_loss": 0.5, "val/accuracy": 0.75}},
        {"step": 2.5, "metrics": {"val_loss": 1.0}},
    ]


def test_without_a_step_it_is_the_one_after_the_last(run):
    assay.report(loss=1)
    assay.report(step=5, loss=1)
    assay.report(loss=1)
    assert [line["step"] for line in run()] == [1, 5, 6]


@pytest.mark.parametrize(
    "value",
    [3, 3.0, np.float32(3), np.int64(3), np.array(3.0), torch.tensor(3), torch.tensor([3.0], requires_grad=True)],
)
def test_every_scalar_is_a_number(run, value):
    assay.report(step=np.int64(1), loss=value)
    assert run() == [{"step": 1, "metrics": {"loss": 3.0}}]


def test_what_is_not_finite_travels_as_text(run):
    assay.report(a=math.nan, b=np.float64("inf"), c=-math.inf, d=10**400)
    assert run()[0]["metrics"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": "Infinity"}


@pytest.mark.parametrize("value", ["0.5", b"1", None, [1, 2], np.zeros(2), 1j, object()])
def test_everything_else_is_refused(run, value):
    with pytest.raises(TypeError, match=r"loss is .* which is not a number"):
        assay.report(loss=value)
    with pytest.raises(TypeError, match="needs a metric"):
        assay.report(step=1)


def test_a_script_is_told_to_stop_when_the_study_asks(run, tmp_path):
    assert not assay.report(loss=1)
    (tmp_path / "stop").touch()
    assert assay.should_stop()
    assert assay.report(loss=1)


def test_a_script_is_told_to_stop_at_its_last_step(run, monkeypatch):
    monkeypatch.setenv("ASSAY_FIDELITY", '{"name": "epochs", "value": 3, "maximum": 27}')
    assert assay.fidelity() == ("epochs", 3, 27)
    assert [assay.report(loss=1) for _ in range(4)] == [False, False, True, True]


def test_the_environment_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_CONFIG", '{"lr": 0.1, "optimizer": "adam"}')
    monkeypatch.setenv("ASSAY_SEED", "7")
    monkeypatch.setenv("ASSAY_CHECKPOINT_DIR", str(tmp_path / "checkpoint"))
    monkeypatch.setenv("ASSAY_RESUME_DIR", str(tmp_path / "resume"))
    assert assay.config() == {"lr": 0.1, "optimizer": "adam"}
    assert assay.config({"lr": 1, "momentum": 0.9}) == {"lr": 0.1, "optimizer": "adam", "momentum": 0.9}
    assert assay.seed() == 7
    assert (assay.checkpoint_dir(), assay.resume_dir()) == (tmp_path / "checkpoint", tmp_path / "resume")


def test_outside_of_a_run_there_are_defaults():
    assert (assay.config(), assay.config({"lr": 0.1})) == ({}, {"lr": 0.1})
    assert (assay.seed(), assay.seed(3)) == (0, 3)
    assert (assay.fidelity(), assay.checkpoint_dir(), assay.resume_dir()) == (None, None, None)
    assert not assay.should_stop()


def test_outside_of_a_run_reports_are_printed(capsys):
    assert not assay.report(step=1, loss=0.5, accuracy=0.25)
    assert not assay.report(loss=math.nan)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "assay: this is not a run of a study; reports are printed here",
        "step 1: loss 0.5, accuracy 0.25",
        "step 2: loss nan",
    ]


def test_an_infeasible_config_has_an_exit_code_of_its_own(capsys):
    with pytest.raises(SystemExit) as caught:
        assay.infeasible("too wide")
    assert caught.value.code == 77
    assert capsys.readouterr().err == "too wide\n"


def test_a_script_loads_nothing_but_the_standard_library():
    """Also as a single file, copied to where no package can be installed."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import script; script.report(loss=1); print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT / "assay")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} <= {*sys.stdlib_module_names, "__main__", "script"}


def test_worker_and_script_agree_on_the_exit_code():
    from workers.objectives.command_outcome import INFEASIBLE

    assert script.INFEASIBLE == INFEASIBLE
