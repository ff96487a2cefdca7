from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch

from workers.catalogue import DATASETS, Dataset
from workers.data.loading import Data, Examples, held_out_data, source_of, training_data
from workers.data.part import Part
from workers.data.sets import digits

CPU = torch.device("cpu")
DIGITS = digits.DATASET
READY: Mapping[str, Dataset] = {name: row for name, row in DATASETS.items() if not row.needs}


def parts(row: Dataset, part: Part) -> tuple[Examples, Examples, Examples]:
    data = training_data(row, part, CPU)
    return data.train, data.validation, held_out_data(row, part, CPU)


def rows(examples: Examples) -> set[tuple[float, ...]]:
    return {tuple(each.flatten().tolist()) for each in examples.inputs}


@pytest.mark.parametrize("name", READY)
def test_a_dataset_is_what_its_row_says(name: str) -> None:
    row = READY[name]
    split = parts(row, Part())
    assert sum(map(len, split)) == row.examples
    for part in split:
        assert part.inputs.shape == (len(part), *row.shape)
        assert part.inputs.dtype in (torch.float32, torch.int64)
        if row.inputs == "image":
            assert part.inputs.min() >= 0
            assert part.inputs.max() <= 1
        if "classification" in row.tasks:
            assert part.targets is not None
            assert part.targets.dtype == torch.int64
            assert part.targets.max() < row.outputs


def test_training_data_holds_no_test_examples() -> None:
    assert {field.name for field in dataclasses.fields(Data)} == {"train", "validation", "context"}
    train, validation, held_out = parts(DIGITS, Part(seed=3))
    assert not rows(held_out) & (rows(train) | rows(validation))


def test_folds_take_turns_at_validation_and_leave_the_test_alone() -> None:
    deals = [parts(DIGITS, Part(fold=fold, folds=3)) for fold in range(3)]
    validations = [rows(validation) for _, validation, _ in deals]
    assert not validations[0] & validations[1]
    assert set.union(*validations) == rows(deals[0][0]) | validations[0]
    assert rows(deals[0][2]) == rows(deals[2][2]) == rows(parts(DIGITS, Part())[2])


def test_a_fraction_is_of_the_training_examples_and_grows_by_inclusion() -> None:
    half, whole = (parts(DIGITS, Part(fraction=fraction)) for fraction in (0.5, 1))
    assert len(half[0]) == round(len(whole[0]) / 2)
    assert rows(half[0]) < rows(whole[0])
    assert torch.equal(half[1].inputs, whole[1].inputs)


def test_a_resolution_makes_images_smaller() -> None:
    small, full = parts(DIGITS, Part(resolution=0.5))[0].inputs, parts(DIGITS, Part())[0].inputs
    assert small.shape[1:] == (1, 4, 4)
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(full, 2))


def test_a_process_loads_once() -> None:
    assert source_of(DIGITS) is source_of(DIGITS)
