"""A user's own script on an uploaded dataset, through a whole service: its results, its log, what it cost; tried again
when it fails; never without the operator's leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import assay

pytestmark = pytest.mark.slow

CSV = {"format": "csv", "target": "b"}
SCRIPT = """
import csv, os, sys
import assay

with open(os.environ["ASSAY_DATASET"], newline="") as file:
    rows = list(csv.DictReader(file))
x = assay.config()["x"]
print(f"{len(rows)} rows, x = {x}")
flaky = "flaky" in sys.argv and not os.path.exists(sys.argv[-1])
if flaky:
    open(sys.argv[-1], "w").close()
    sys.exit("the first attempt fails")
for step in (1, 2, 3):
    assay.report(step=step, loss=abs(x - 0.5) + 1 / step / len(rows))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


def study(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "space": {
            "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
            "fidelity": {"name": "steps", "low": 1, "high": 3},
        },
        "objective": {
            "type": "command",
            "command": ["{python}", *arguments],
            "dataset": "numbers",
            "env": {"PYTHONPATH": str(Path(assay.__file__).parents[1])},
        },
        "metrics": [{"name": "loss", "direction": "minimize"}],
        "algorithm": {"name": "random"},
        "budget": {"max_runs": 3},
        **more,
    }


@pytest.mark.parametrize("pool", ["local", "ray"])
def test_a_script_on_an_uploaded_dataset(pool: str, start_service: Callable[..., Any], script: Path) -> None:
    service = start_service("--pool", pool, "--workers", "1")
    answer = service.http.post("/datasets", params={**CSV, "name": "numbers"}, content=b"a,b\n1,2\n3,4\n5,6\n")
    assert answer.status_code == 201, answer.text

    created = service.create(study("plain", str(script)))
    assert created["objective"]["dataset"]["sha256"] == answer.json()["sha256"]
    assert service.http.delete("/datasets/numbers").status_code == 409
    ended = service.wait_until_finished("plain")
    assert (ended["state"], ended["counts"]["succeeded"]) == ("completed", 3), ended["reason"]
    best = service.http.get("/studies/plain/best").json()
    assert best["metrics"]["loss"] == pytest.approx(abs(best["config"]["x"] - 0.5) + 1 / 9)
    assert service.http.get("/studies/plain/runs/0/log").text.startswith("3 rows, x = ")
    logs = service.items("/studies/plain/artifacts?kind=log")
    assert [log["run"] for log in logs] == [0, 1, 2]

    marker = script.with_name("marker")
    service.create(study("flaky", str(script), "flaky", str(marker), retry={"error": 1, "backoff_seconds": 0.1}))
    ended = service.wait_until_finished("flaky")
    assert (ended["state"], ended["counts"]["succeeded"]) == ("completed", 3), ended["reason"]
    attempts = service.http.get("/studies/flaky/runs/0/attempts").json()["items"]
    assert [attempt["state"] for attempt in attempts] == ["error", "succeeded"]
    assert "the first attempt fails" in attempts[0]["message"]
    assert attempts[1]["provenance"]["packages"]
    assert service.http.delete("/datasets/numbers").status_code == 204


def test_commands_need_the_operators_leave(
    start_service: Callable[..., Any], script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_ALLOW_COMMANDS", "false")
    service = start_service("--pool", "local", "--workers", "1")
    answer = service.http.post("/studies", json=study("refused", str(script)))
    assert answer.status_code == 403
    assert "allow_commands" in answer.json()["detail"]
    assert service.items("/studies") == []
