"""Every one-shot method, by its name in a study, through the service and Ray; and one that is killed on its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from search import ALGORITHMS
from search.replay import Verified, verify
from service.database import Database, sqlite_url
from service.models import DEFAULT_PROJECT_ID
from service.record import stored_record
from service.repositories.studies import Studies

pytestmark = pytest.mark.slow

CELL = {
    "name": "cell",
    "type": "cell",
    "preset": "nas-bench-201",
    "nodes": 3,
    "ops": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"],
}
SIZES = [
    {"name": "channels", "type": "constant", "value": 4},
    {"name": "layers", "type": "constant", "value": 1},
]
SMALL: Mapping[str, Any] = {
    "epochs": 2,
    "batch_size": 128,
    "channels": 4,
    "layers": 1,
    "ranked": 6,
    "retrain": 2,
    "trusted": 1,
    "partial": 2,
    "order": "first",
    "ascent": 1,
    "controller_steps": 2,
    "controller_samples": 2,
    "alpha_every": 1,
    "warmup": 0.0,
}
ONE_SHOT = [name for name, row in ALGORITHMS.items() if row.one_shot and row.needs_architecture]


def study(name: str, **options: Any) -> dict[str, Any]:
    known = {option.name for option in ALGORITHMS[name].options}
    return {
        "name": name,
        "space": {"parameters": [CELL, *SIZES]},
        "objective": {"type": "train", "family": "cell", "dataset": "digits", "epochs": 1},
        "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
        "algorithm": {
            "name": name,
            **{key: value for key, value in SMALL.items() if key in known},
            **options,
        },
        "checks": False,
        "parallelism": 2,
        "seed": 1,
    }


@pytest.fixture(scope="module")
def service(ray_service: Any) -> Any:
    for name in ONE_SHOT:
        ray_service.create(study(name))
    return ray_service


@pytest.mark.parametrize("name", ONE_SHOT)
def test_every_method_ranks_architectures_and_trains_the_best(service: Any, name: str) -> None:
    ended = service.wait_until_finished(name, 400)
    assert ended["state"] == "completed", ended["reason"]
    first, *others = service.items(f"/studies/{name}/runs")
    assert (first["kind"], first["state"]) == ("supernet", "succeeded")
    assert {run["state"] for run in others} == {"succeeded"}
    ranks = [run["origin"]["rank"] for run in others]
    assert {1, 2} <= set(ranks)
    own = [run["origin"].get("own", False) for run in others]
    assert sum(own) <= 1, "what the search has come to, unless that connects nothing"
    assert True not in own[1:], "and it is trained first"
    assert ended["best"]["trial"] != first["trial"]
    reports = [report for report in service.items(f"/studies/{name}/reports") if report["run"] == 0]
    assert [report["step"] for report in reports] == [1, 2]
    for report in reports:
        weights = [value for key, value in report["metrics"].items() if key.startswith("weight.cell.0-1.")]
        assert sum(weights) == pytest.approx(1)
    database = Database(sqlite_url(service.data_dir / "assay.db"))
    with database.session(write=False) as session:
        verdict = verify(stored_record(session, Studies(session, DEFAULT_PROJECT_ID).get(name)))
    assert isinstance(verdict, Verified), verdict


def test_a_killed_search_goes_on_from_its_last_epoch(start_service: Callable[..., Any]) -> None:
    service = start_service("--pool", "local", "--workers", "1")
    service.create(study("darts", epochs=8, retrain=1, trusted=0))

    def reports() -> list[dict[str, Any]]:
        return [report for report in service.items("/studies/darts/reports") if report["run"] == 0]

    service.wait_for(lambda: len(reports()) >= 2, "two epochs were searched")
    service.kill()
    service.start()
    ended = service.wait_until_finished("darts", 300)
    assert ended["state"] == "completed", ended["reason"]
    assert [report["step"] for report in reports()] == list(range(1, 9)), "none is missing, and none is there twice"
    seconds = [report["seconds"] for report in reports()]
    assert seconds != sorted(seconds), "the second attempt's clock began anew, in the middle"
