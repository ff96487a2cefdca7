"""The page about the API knows all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service import problems
from service.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_every_kind_of_problem_is_listed() -> None:
    kinds = [value for value in vars(problems).values() if isinstance(value, problems.Kind)]

    assert kinds
    for kind in kinds:
        assert f"| `{kind.type}` | {kind.status} |" in PAGE


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_listed(field: str) -> None:
    assert f"`{PREFIX}{field.upper()}`" in PAGE


def test_every_resource_is_listed(app: FastAPI) -> None:
    resources = {path.removeprefix("/api/v1").removesuffix("/{number}") for path in app.openapi()["paths"]}

    assert [path for path in resources if f"{path}`" not in PAGE] == []


def test_the_example_is_accepted(api: httpx.Client) -> None:
    match = re.search(r"-d '(\{.*?\n\})'", PAGE, re.DOTALL)
    assert match

    assert api.post("studies", json=json.loads(match[1])).status_code == 201
