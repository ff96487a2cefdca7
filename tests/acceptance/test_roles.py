"""The parts of the service as processes of their own, on one PostgreSQL: what docker-compose.yml starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

STUDY: dict[str, Any] = {
    "name": "roles",
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ],
        "fidelity": {"name": "steps", "low": 1, "high": 9},
    },
    "objective": {"type": "function", "function": "branin"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "hyperband"},
    "budget": {"max_runs": 22},
    "parallelism": 2,
}


def test_a_dispatcher_without_its_pool_ends(tmp_path: Path) -> None:
    """It must not stay there as if all were well: whoever looks after it starts it again."""
    command = [sys.executable, "-m", "assay", "up", "--only", "dispatcher", "--data-dir", str(tmp_path)]
    nobody = {**os.environ, "ASSAY_RAY_ADDRESS": "127.0.0.1:1"}
    ended = subprocess.run(command, env=nobody, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode not in (0, None)
    assert "the dispatcher ended: no Ray answers at 127.0.0.1:1" in ended.stderr


def test_api_and_dispatchers_share_a_database(
    start_service: Callable[..., Any], new_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_database_url("postgresql")
    api = start_service("--only", "api", "--database-url", url)
    api.create(STUDY)
    command = [sys.executable, "-m", "assay", "up", "--only", "dispatcher", "--pool", "local", "--database-url", url]
    dispatchers = [subprocess.Popen([*command, "--data-dir", str(tmp_path / "data")]) for _ in range(2)]
    try:
        assert api.wait_until_finished("roles")["state"] == "completed"
    finally:
        for dispatcher in dispatchers:
            dispatcher.terminate()
        assert [dispatcher.wait(30) for dispatcher in dispatchers] == [0, 0]
    runs = api.items("/studies/roles/runs")
    assert [run["state"] for run in runs] == ["succeeded"] * 22
    assert {run["attempts"] for run in runs} == {1}, "a study has one owner: nothing was carried out twice"
