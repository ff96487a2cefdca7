"""The service starts light: what only workers need is not loaded with the app."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "scipy", "sklearn", "alembic")


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    script = "import sys, service.app; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


@pytest.mark.parametrize("module", HEAVY)
def test_the_app_is_loaded_without(loaded: set[str], module: str) -> None:
    assert "service.app" in loaded
    assert module not in loaded
