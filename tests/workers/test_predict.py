from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workers.jobs import carry_out
from workers.model_file import ModelFileError
from workers.predict import predict
from workers.protocol import Assignment, Job


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory, "wine")


@pytest.fixture(scope="module")
def of_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory, "digits")


def trained(tmp_path_factory: pytest.TempPathFactory, dataset: str) -> Path:
    path = tmp_path_factory.mktemp("models") / f"{dataset}.safetensors"
    objective = {"type": "train", "family": "mlp", "dataset": dataset, "epochs": 5}
    work = Assignment(key="1", objective=objective, config={"width": 16}, seed=0, task="job", job=Job("refit"))
    carry_out(replace(work, checkpoint=path))
    return path


def test_a_row_per_input_with_its_class_and_probabilities(model: Path, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(4, 13))
    np.savez(tmp_path / "x.npz", inputs=inputs)
    np.savetxt(tmp_path / "x.csv", inputs, delimiter=",")
    lines = predict(model, tmp_path / "x.npz")
    assert lines[0] == "class,p(0),p(1),p(2)"
    assert len(lines) == 5
    assert predict(model, tmp_path / "x.csv")[1:] == lines[1:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((4, 5)), "has 5 values per input; the model reads 13"),
        (np.zeros((13, 4)), "has 4 values per input"),
        (np.array([["a"] * 13]), "and no numbers"),
    ],
)
def test_other_inputs_are_refused(content: np.ndarray, message: str, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=content)
    with pytest.raises(ModelFileError, match=message):
        predict(model, tmp_path / "x.npz")


def test_files_that_are_something_else_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("no,numbers\nhere,either\n")
    with pytest.raises(ModelFileError, match="cannot be read"):
        predict(model, tmp_path / "x.csv")
    np.savez(tmp_path / "y.npz", other=np.zeros(3))
    with pytest.raises(ModelFileError, match="no array 'inputs'"):
        predict(model, tmp_path / "y.npz")


def test_a_line_that_holds_no_numbers_is_named(model: Path, tmp_path: Path) -> None:
    row = ",".join(["0.5"] * 13)
    (tmp_path / "x.csv").write_text(f"{row}\n{row[:-3]}many\n")
    with pytest.raises(ModelFileError, match="line 2, column 13 holds 'many', and no number"):
        predict(model, tmp_path / "x.csv")
    (tmp_path / "y.csv").write_text(f"{row}\n{row},1\n")
    with pytest.raises(ModelFileError, match="line 2 has 14 values"):
        predict(model, tmp_path / "y.csv")
    (tmp_path / "z.csv").write_text("a,b\n")
    with pytest.raises(ModelFileError, match="no rows of numbers"):
        predict(model, tmp_path / "z.csv")


@pytest.mark.parametrize(("scale", "doubts"), [(1.0, 0), (16.0, 1), (-1.0, 0), (-16.0, 1)])
def test_inputs_on_another_scale_are_remarked_upon(
    scale: float, doubts: int, of_pictures: Path, tmp_path: Path
) -> None:
    inputs = np.random.default_rng(0).random((4, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "x.npz", inputs=scale * inputs)
    said: list[str] = []
    assert len(predict(of_pictures, tmp_path / "x.npz", said.append)) == 5
    assert len(said) == doubts
    assert all("trained on from 0 to 1: is the scale the same?" in one for one in said)
