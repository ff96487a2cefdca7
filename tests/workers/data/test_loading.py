from __future__ import annotations

import dataclasses

import pytest
import torch

from workers.catalogue import DATASETS
from workers.data.loading import TrainingData, held_out_data, training_data

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_what_its_row_says(name: str) -> None:
    row, data, held_out = DATASETS[name], training_data(name, 0, CPU), held_out_data(name, 0, CPU)
    parts = (data.train, data.validation, held_out)
    assert sum(map(len, parts)) == row.examples
    for part in parts:
        assert part.inputs.shape == (len(part), *row.shape)
        assert part.inputs.dtype == torch.float32
        assert part.labels.dtype == torch.int64
        assert torch.isfinite(part.inputs).all()
        assert part.labels.unique().tolist() == list(range(row.classes))
        if row.inputs == "image":
            assert part.inputs.min() >= 0
            assert part.inputs.max() <= 1


def test_training_data_holds_no_test_examples() -> None:
    assert {field.name for field in dataclasses.fields(TrainingData)} == {"train", "validation"}
    data, held_out = training_data("digits", 3, CPU), held_out_data("digits", 3, CPU)
    seen = {tuple(image.flatten().tolist()) for image in torch.cat([data.train.inputs, data.validation.inputs])}
    unseen = [tuple(image.flatten().tolist()) not in seen for image in held_out.inputs]
    assert all(unseen)


def test_a_process_loads_once() -> None:
    assert training_data("digits", 0, CPU) is training_data("digits", 0, CPU)
    assert training_data("digits", 0, CPU) is not training_data("digits", 1, CPU)
