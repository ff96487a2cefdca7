from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from workers.checkpoints import Checkpoint, CheckpointError, packed, unpacked
from workers.hypergradients import search as hypergradients
from workers.supernets import course as supernets

IDENTITY = {"family": "mlp", "lr": 0.1, "kernel": (3, 5)}
CPU = torch.device("cpu")


def checkpoint(**changes: Any) -> Checkpoint:
    model = {"layer.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
    optimizer = {"0.0": {"exp_avg": torch.ones(2, 3), "step": torch.tensor(4.0)}, "0.11": {"exp_avg": torch.zeros(2)}}
    extra = {"live/layer.weight": torch.ones(2, 3)}
    fields = {"identity": IDENTITY, "epoch": 3, "metrics": {"loss": 0.1 + 0.2}, "model": model}
    return Checkpoint(**{**fields, "optimizer": optimizer, "extra": extra, **changes})


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    saved = checkpoint()
    saved.save(tmp_path / "study" / "1")
    loaded = Checkpoint.load(tmp_path / "study" / "1", IDENTITY, CPU)
    assert (loaded.epoch, loaded.metrics) == (saved.epoch, saved.metrics)
    assert loaded.model.keys() == saved.model.keys()
    assert loaded.optimizer.keys() == saved.optimizer.keys()
    assert torch.equal(loaded.extra["live/layer.weight"], saved.extra["live/layer.weight"])
    for name, tensor in saved.model.items():
        assert torch.equal(loaded.model[name], tensor)
        assert loaded.model[name].dtype == tensor.dtype
    for index, state in saved.optimizer.items():
        assert all(torch.equal(loaded.optimizer[index][name], tensor) for name, tensor in state.items())


def test_saving_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    checkpoint(epoch=1).save(tmp_path / "c")
    checkpoint(epoch=2).save(tmp_path / "c")
    assert Checkpoint.load(tmp_path / "c", IDENTITY, CPU).epoch == 2
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_save_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(epoch=1).save(tmp_path / "c")

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        checkpoint(epoch=2).save(tmp_path / "c")
    assert Checkpoint.load(tmp_path / "c", IDENTITY, CPU).epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({**IDENTITY, "family": "lenet"}, "family"),
        ({**IDENTITY, "lr": 0.2}, "lr"),
        ({**IDENTITY, "momentum": 0.9}, "momentum"),
    ],
)
def test_another_training_is_refused(wanted: dict[str, Any], names: str, tmp_path: Path) -> None:
    checkpoint().save(tmp_path / "c")
    with pytest.raises(CheckpointError, match=names):
        Checkpoint.load(tmp_path / "c", wanted, CPU)


def test_an_identity_that_names_less_is_the_same(tmp_path: Path) -> None:
    checkpoint().save(tmp_path / "c")
    assert Checkpoint.load(tmp_path / "c", {"family": "mlp", "kernel": (3, 5)}, CPU).epoch == 3


def damaged(path: Path) -> None:
    checkpoint().save(path)
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps({"epoch": 3})),
        lambda path: save_file({"w": torch.ones(1)}, path),
        lambda path: save_file({"w": torch.ones(1)}, path, {"assay": "{"}),
        lambda path: save_file({"w": torch.ones(1)}, path, {"assay": '{"version": 99}'}),
        damaged,
    ],
    ids=["missing", "empty", "a pickle", "not ours", "a broken header", "another version", "cut off"],
)
def test_other_files_are_refused_with_their_path(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "the-file")
    with pytest.raises(CheckpointError, match="the-file"):
        Checkpoint.load(tmp_path / "the-file", IDENTITY, CPU)


COURSES = [
    supernets.Course(1, ["a"], [(0, 0.5)], None, 0, [{"lr": 0.1}]),
    hypergradients.Course([{"lr": 0.1}], 1, 0, [{"lr": 0.1}]),
]


@pytest.mark.parametrize("course", COURSES, ids=["supernet", "hypergradient"])
def test_what_a_search_remembers_is_that_of_this_version(course: Any) -> None:
    assert type(course).unpacked(course.packed()) == course
    stored = unpacked(course.packed())
    with pytest.raises(CheckpointError, match=r"it lacks: none; not known here: mood\)"):
        type(course).unpacked(packed({**stored, "mood": 1}))
    first = next(iter(stored))
    del stored[first]
    with pytest.raises(CheckpointError, match=rf"it lacks: {first}; not known here: none\)"):
        type(course).unpacked(packed(stored))
