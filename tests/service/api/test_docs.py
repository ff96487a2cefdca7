"""What the pages say of routes, settings and problems is what there is: all of it, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
from fastapi import FastAPI

from service import problems
from service.app import PREFIX
from service.settings import Settings
from service.settings_sources import OF_FILES, variable

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "api.md").read_text()

Route = tuple[str, str]
"""Method, and path without /api/v1."""


def test_every_kind_of_problem_is_listed_with_its_status() -> None:
    kinds = [value for value in vars(problems).values() if isinstance(value, problems.Kind)]

    listed = re.findall(r"^\| `(urn:assay:[a-z-]+|about:blank)` \| (\w+) \|", PAGE, re.MULTILINE)

    assert {(kind.type, str(kind.status)) for kind in kinds} == {each for each in listed if each[0] != "about:blank"}


def test_every_setting_is_listed() -> None:
    settable = {variable(name) for name in (*Settings.model_fields, *OF_FILES)}

    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", (DOCS / "settings.md").read_text(), re.MULTILINE)

    assert [name for name, _ in rows] == list(Settings.model_fields)
    assert {name for _, names in rows for name in re.findall(r"`(ASSAY_\w+)`", names)} == settable


def test_every_route_is_listed(app: FastAPI) -> None:
    there = {
        (method.upper(), path.removeprefix(PREFIX))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }

    listed = list(_listed({path for _, path in there}))

    assert sorted(there ^ set(listed)) == []
    assert len(listed) == len(there), "each stands there once"


def _listed(paths: set[str]) -> Iterator[Route]:
    """The routes in the table. A row has one or more: `GET /a/{b}`, `/b/{c}`, `POST`. What is left out is as before;
    a path that is not there from the root takes the place of the end of the one before."""
    table = PAGE[PAGE.index("| route | answer |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        method, path = "", ""
        for words in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
            found = re.fullmatch(r"([A-Z]+)?(?: ?(/\S*))?", words)
            assert found, f"{words!r} is no route"
            method = found[1] or method
            if found[2]:
                path = found[2] if found[2] in paths else path.rpartition("/")[0] + found[2]
            yield method, path


def test_the_example_is_accepted(api: httpx.Client) -> None:
    match = re.search(r"-d '(\{.*?\n\})'", PAGE, re.DOTALL)
    assert match

    assert api.post("studies", json=json.loads(match[1])).status_code == 201
