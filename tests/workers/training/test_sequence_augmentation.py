from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.data.loading import Examples
from workers.training.sequence_augmentation import at_speed, cropped, deviation, swapped, varied
from workers.training.streams import stream

NAN = torch.nan
ALL = {"jitter": 0.2, "speed": 0.3, "crop": 0.3, "step_swap": 0.2}


def sequences(batch: int = 40, steps: int = 10, features: int = 2) -> Tensor:
    """Every third begins at step 3, and tells at once which step of which sequence a number is."""
    x = torch.arange(batch * steps * features, dtype=torch.float32).reshape(batch, steps, features)
    x[::3, :3] = NAN
    return x


def classes(x: Tensor) -> Examples:
    return Examples(x, torch.zeros(len(x), dtype=torch.int64))


@pytest.mark.parametrize("settings", [ALL, *({name: value} for name, value in ALL.items())], ids="-".join)
def test_sequences_follow_from_the_stream(settings: dict[str, float]) -> None:
    x = sequences()

    def changed(epoch: int) -> Tensor:
        return varied(classes(x), settings, stream(0, "augmentation", epoch)).inputs

    out = changed(1)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert torch.equal(x.nan_to_num(), sequences().nan_to_num()), "the data is shared: it must not change in place"
    torch.testing.assert_close(out, changed(1), rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(out.nan_to_num(), changed(2).nan_to_num())
    assert not out[:, -1].isnan().any(), "every sequence ends at the last step"
    missing = out.isnan().all(dim=2).int()
    assert (missing.diff(dim=1) <= 0).all(), "what is missing is the beginning"


def test_nothing_is_the_same_object() -> None:
    batch = classes(sequences())
    assert varied(batch, {}, stream(0, "augmentation")) is batch
    assert varied(batch, dict.fromkeys(ALL, 0.0), stream(0, "augmentation")) is batch


@given(factor=st.floats(0.1, 1.9), steps=st.integers(1, 30))
def test_a_straight_line_stays_one_at_any_speed(factor: float, steps: int) -> None:
    line = torch.arange(steps, dtype=torch.float32)[None, :, None] * 2 + 1
    out = at_speed(line, torch.tensor([factor]))[0, :, 0]
    place = (steps - 1) - factor * np.arange(steps - 1, -1, -1)
    for found, source in zip(out.tolist(), place, strict=True):
        if source >= 1e-3:
            assert found == pytest.approx(2 * source + 1, abs=1e-3)
        elif source < -1e-3:
            assert np.isnan(found)
    same = at_speed(line, torch.ones(1))
    assert torch.equal(same, line)


def test_twice_as_fast_is_every_second_step() -> None:
    x = torch.arange(7.0)[None, :, None]
    assert at_speed(x, torch.tensor([2.0]))[0, 3:, 0].tolist() == [0, 2, 4, 6]
    assert at_speed(x, torch.tensor([2.0]))[0, :3].isnan().all()
    assert at_speed(x, torch.tensor([0.5]))[0, :, 0].tolist() == [3, 3.5, 4, 4.5, 5, 5.5, 6]


def test_a_series_changes_as_if_its_next_value_were_its_end() -> None:
    """Of a line, the next value follows from the steps at any speed: by one step, as long as that is now."""
    x = torch.arange(9.0)[None, :, None].repeat(50, 1, 1)
    batch = Examples(x, torch.full((50, 1), 9.0))
    out = varied(batch, {"speed": 0.5}, stream(0, "augmentation"))
    assert torch.equal(out.targets, batch.targets)
    step = out.inputs[:, -1, 0] - out.inputs[:, -2, 0]
    assert step.min() < 0.6
    assert step.max() > 1.4
    torch.testing.assert_close(out.inputs[:, -1, 0] + step, torch.full((50,), 9.0))


def test_a_window_is_a_part_of_the_sequence() -> None:
    x = sequences(4, 10, 1)
    share, place = torch.tensor([0.5, 0.5, 1.0, 0.3]), torch.tensor([0.0, 0.5, 0.3, 1.0])
    out = cropped(x, share, place)
    # of seven steps from 3 on, four (3.5 is rounded to even); of ten, five from 2 on (2.5); all; of seven, two
    assert out[0, 6:, 0].tolist() == [3, 4, 5, 6]
    assert out[1, 5:, 0].tolist() == [12, 13, 14, 15, 16]
    assert torch.equal(out[2], x[2])
    assert out[3, 8:, 0].tolist() == [38, 39]
    assert [int(one.isnan().sum()) for one in out] == [6, 5, 0, 8]


def test_a_series_loses_its_earliest_steps() -> None:
    x = sequences(300, 10, 1)
    out = varied(Examples(x, torch.zeros(300, 1)), {"crop": 0.5}, stream(0, "augmentation")).inputs
    kept = ~out.isnan()
    assert torch.equal(out[kept], x[kept])
    assert 0.6 < kept.sum() / (~x.isnan()).sum() < 0.9
    whole = varied(classes(x), {"crop": 0.5}, stream(0, "augmentation")).inputs
    assert not torch.equal(whole[~whole.isnan()], x[~whole.isnan()]), "a window may lie anywhere"


def test_neighbours_change_places() -> None:
    x = sequences(2000, 11, 1)
    out = swapped(x, 0.2, stream(0, "augmentation"))
    assert torch.equal(out.nan_to_num(-1).sort(dim=1).values, x.nan_to_num(-1).sort(dim=1).values)
    moved = (out - x).nan_to_num()
    assert set(moved.unique().tolist()) == {-1, 0, 1}
    assert torch.equal(out.isnan(), x.isnan())
    assert 0.15 < float((moved != 0).float().sum() / (~x.isnan()).sum()) < 0.2
    assert (moved != 0).any(dim=0).all(), "any step may move"


def test_jitter_is_relative_to_the_sequence_itself() -> None:
    x = torch.randn(4000, 12, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([10.0, 0.1])
    x[:, :4] = NAN
    x[0] = 5
    noise = varied(classes(x), {"jitter": 0.3}, stream(0, "augmentation")).inputs - x
    relative = (noise / deviation(x))[1:, 4:]
    assert float(relative.std()) == pytest.approx(0.3, rel=0.02)
    assert (noise[0] == 0).all(), "what does not vary does not begin to"


@pytest.mark.parametrize("family", ["rnn", "transformer_enc"])
def test_a_family_learns_from_changed_sequences(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is judged by the given ones."""
    from workers.objectives.train import TrainObjective
    from workers.protocol import Assignment, to_the_end
    from workers.training import augmentation

    pytest.importorskip("statsmodels")
    seen: list[int] = []

    def counting(batch: Examples, settings: Any, rng: Any) -> Examples:
        seen.append(len(batch))
        return varied(batch, settings, rng)

    monkeypatch.setattr(augmentation, "varied", counting)

    def loss(config: dict[str, Any]) -> float:
        objective = {"type": "train", "family": family, "dataset": "sunspots"}
        work = Assignment(
            key="1", objective=objective, config={"width": 16, **config}, seed=0, fidelity=("epochs", 2, 2)
        )
        return float(to_the_end(TrainObjective().train(work))[1].metrics["train_loss"])

    plain = loss({})
    assert loss(ALL) != plain
    assert sum(seen) == 2 * 2 * 171  # of the training examples, in two epochs of two trainings
