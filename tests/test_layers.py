"""The layers hold, and what must be light is light: checked in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "ray", "sklearn", "pandas", "optuna", "smac", "botorch")


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import spaces", {*HEAVY, "sqlalchemy", "fastapi", "pydantic", "scipy"}),
        ("import search", {*HEAVY, "sqlalchemy", "fastapi", "pydantic", "scipy"}),
        ("import service.app", {*HEAVY, "scipy"}),
        ("import service.dispatcher", set(HEAVY)),
        ("import workers.objectives, workers.catalogue, workers.pools.local", {*HEAVY, "sqlalchemy", "fastapi"}),
        ("import assay", {*HEAVY, "numpy", "httpx", "typer", "rich", "yaml", "service", "search", "spaces"}),
    ],
)
def test_nothing_heavy_is_loaded(statement: str, forbidden: set[str]) -> None:
    assert loaded_by(statement) & forbidden == set()


def test_the_import_contracts_are_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def test_there_is_one_tree_of_tests_without_packages() -> None:
    """With --import-mode=importlib an __init__.py would make equal names of test files collide again."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
