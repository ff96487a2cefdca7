from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spaces import Space
from workers.catalogue import DATASETS, FAMILIES, Family, describe, load
from workers.catalogue.page import page

PAIRS = [(family, inputs) for family in FAMILIES.values() for inputs in family.inputs]


@pytest.mark.parametrize(("family", "inputs"), PAIRS, ids=lambda part: getattr(part, "name", part))
@pytest.mark.parametrize("preset", ["minimal", "standard", "everything"])
def test_the_parameters_are_a_space_with_valid_defaults(family: Family, inputs: Any, preset: Any) -> None:
    """The defaults keep the constraints, too."""
    space = Space.from_json(family.space(inputs, preset))
    defaults = {parameter["name"]: parameter["default"] for parameter in family.parameters(inputs, preset)}
    space.validate({name: defaults[name] for name in space.active(defaults)})


@pytest.mark.parametrize(("family", "inputs"), PAIRS, ids=lambda part: getattr(part, "name", part))
def test_hyperparameters_have_one_name_each_and_take_their_own_presets(family: Family, inputs: Any) -> None:
    hyperparameters = family.hyperparameters(inputs)
    assert max(Counter(each.name for each in hyperparameters).values()) == 1
    for each in hyperparameters:
        assert list(each.problems(each.to_json())) == []
        assert each.objection(each.default) is None
        assert each.help


def test_the_minimal_preset_is_the_architecture_and_four() -> None:
    names = [parameter["name"] for parameter in FAMILIES["lenet"].parameters("image", "minimal")]
    own = [each.name for each in FAMILIES["lenet"].own]
    assert names == [*own, "lr", "batch_size", "weight_decay", "dropout"]


@pytest.mark.parametrize("row", [*FAMILIES.values(), *DATASETS.values()], ids=lambda row: row.name)
def test_rows_name_code_that_exists(row: Any) -> None:
    assert callable(load(row.builder if isinstance(row, Family) else row.loader))


def test_rows_stand_under_their_names_and_every_one_has_a_partner() -> None:
    for table in (FAMILIES, DATASETS):
        assert all(name == row.name for name, row in table.items())
    for family in FAMILIES.values():
        assert any(family.fits(dataset) for dataset in DATASETS.values())
    for dataset in DATASETS.values():
        assert any(family.fits(dataset) for family in FAMILIES.values())


@pytest.mark.parametrize("row", [*FAMILIES.values(), *DATASETS.values()], ids=lambda row: row.name)
def test_rows_can_be_sent(row: Any) -> None:
    written = describe(row) if isinstance(row, Family) else row.to_json()
    assert json.loads(json.dumps(written)) == written


def test_the_reference_page_is_current() -> None:
    written = Path(__file__).parents[2] / "docs" / "families.md"
    assert written.read_text() == page(), "run: python -m workers.catalogue > docs/families.md"


def test_the_catalogue_and_the_objective_load_no_torch() -> None:
    code = "import sys, workers.catalogue, workers.objectives.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
