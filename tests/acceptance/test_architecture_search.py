"""Every name of architecture search, and of tuning by gradients, as a study through the service and Ray; and the same
studies once more, in the midst of which the whole service is killed: they come to the same.

The studies are derived from the table of algorithms: a new row that searches an architecture, or whose first run ranks
what is trained after it, gets a study and both tests by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from search import ALGORITHMS
from search.replay import Verified, verify
from service.database import Database, sqlite_url
from service.models import DEFAULT_PROJECT_ID
from service.record import stored_record
from service.repositories.studies import Studies
from spaces import Space

pytestmark = pytest.mark.slow

WORKERS = 6
ROUNDS = 9  # three, unless studies get away
RUNS = 8  # of a study without a supernet
EPOCHS = 4  # of a supernet
LONGER = {"gdas": 8, "rsps": 8, "enas": 8, "proxyless": 8, "hypergradient": 16}
"""Epochs of those that are done with one in no time: they are to be killed in the middle."""

CELL = {
    "name": "cell",
    "type": "cell",
    "preset": "nas-bench-201",
    "nodes": 3,
    "ops": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"],
}
CHAIN = {"name": "cell", "type": "cell", "preset": "chain", "stages": 2, "blocks": 2, "widths": [4, 8]}
CELLS: dict[str, Any] = {
    "parameters": [
        CELL,
        {"name": "channels", "type": "constant", "value": 4},
        {"name": "layers", "type": "constant", "value": 1},
    ]
}
RECIPE: dict[str, Any] = {
    "parameters": [
        {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 1e-3},
        {"name": "label_smoothing", "type": "float", "low": 0, "high": 0.3},
        {"name": "width", "type": "constant", "value": 16},
    ]
}
SMALL: Mapping[str, Any] = {
    "batch_size": 256,
    "channels": 4,
    "layers": 1,
    "ranked": 6,
    "retrain": 1,
    "trusted": 1,
    "partial": 2,
    "ascent": 1,
    "controller_steps": 2,
    "controller_samples": 2,
    "alpha_every": 1,
    "warmup": 0.0,
    "start": 0,
    "founders": 3,
    "initial": 4,
    "population": 4,
    "candidates": 20,
}
"""Options with which an algorithm is quick, and begins to learn after a few runs, for those that have them."""

VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "darts": {"first-order": {"order": "first"}, "second-order": {"order": "second"}},
    "sdarts": {
        "random": {"perturbation": "random"},
        "adversarial": {"perturbation": "adversarial"},
    },
    "robust-darts": {
        # every look is compared with the one before
        answer: {"response": answer, "every": 1, "window": 1, "patience": 1, "start": 0, "rise": 1.0001}
        for answer in ("stop", "regularize")
    },
}
"""By the algorithm: its forms, by what a study's name has behind its own."""

BLACK_BOX: Mapping[str, Mapping[str, Any]] = {"evolution": {}, "neuroevolution": {"inherit": True}, "reinforce": {}}
"""Serve any space, and are taken for architectures."""

ACCURACY = {"name": "val_accuracy", "direction": "maximize"}


def study(algorithm: str, options: Mapping[str, Any]) -> dict[str, Any]:
    row = ALGORITHMS[algorithm]
    known = {option.name for option in row.options}
    small = {"epochs": LONGER.get(algorithm, EPOCHS), **SMALL}
    return {
        "space": _space(algorithm),
        "objective": {"type": "train", "family": _family(algorithm), "dataset": "digits", "epochs": 1},
        "metrics": [ACCURACY],
        "algorithm": {
            "name": algorithm,
            **{key: value for key, value in small.items() if key in known},
            **options,
        },
        "budget": {} if row.one_shot else {"max_runs": RUNS},
        "checks": False,
        "parallelism": 1,  # who ends first makes a difference to what learns from results
        "seed": 1,
    }


def _space(algorithm: str) -> dict[str, Any]:
    row = ALGORITHMS[algorithm]
    if row.continuous:
        return RECIPE
    return {"parameters": [CHAIN]} if "chain" in row.presets else CELLS


def _family(algorithm: str) -> str:
    row = ALGORITHMS[algorithm]
    if row.continuous:
        return "mlp"
    return "chain_net" if "chain" in row.presets else "cell"


SEARCHES = [name for name, row in ALGORITHMS.items() if row.one_shot or row.needs_architecture]
STUDIES = {
    **{
        f"{algorithm}-{variant}" if variant else algorithm: study(algorithm, options)
        for algorithm in SEARCHES
        for variant, options in VARIANTS.get(algorithm, {"": {}}).items()
    },
    **{algorithm: study(algorithm, options) for algorithm, options in BLACK_BOX.items()},
}
ONE_SHOT = [name for name, given in STUDIES.items() if ALGORITHMS[given["algorithm"]["name"]].one_shot]


@pytest.fixture(scope="module")
def service(start_services: Any) -> Any:
    service = start_services("--workers", str(WORKERS))
    for name, given in STUDIES.items():
        service.create({**given, "name": name})
    return service


class Killed:
    """The same studies once more, as many at a time as there are workers: as soon as each of these has reported
    something, the service is killed. What came to its end before that was killed in nothing, and has another turn."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.rounds = 0
        self.left = list(STUDIES)
        self.names: dict[str, str] = {}
        self.heard: set[str] = set()
        """Those of which a report of their first run was stored when the service was killed."""

    def name(self, name: str) -> str:
        """Under which name a study was hit, and has ended since."""
        while name not in self.names:
            assert self.rounds < ROUNDS, f"{name} was never under way when the service was killed"
            self._kill()
        return self.names[name]

    def _kill(self) -> None:
        service = self.service
        self.rounds += 1
        batch = {name: f"{name}-killed-{self.rounds}" for name in self.left[:WORKERS]}
        for name, other in batch.items():
            service.wait_until_finished(name, 400)
            service.create({**STUDIES[name], "name": other})

        def under_way() -> bool:
            if any(service.study(other)["state"] == "completed" for other in batch.values()):
                return True  # let no more of them get away
            return all(service.items(f"/studies/{other}/reports") for other in batch.values())

        service.wait_for(under_way, f"{list(batch)} are under way")
        self.heard |= {
            other
            for other in batch.values()
            if any(report["run"] == 0 for report in service.items(f"/studies/{other}/reports"))
        }
        service.kill()
        service.start()
        for name, other in batch.items():
            service.wait_until_finished(other, 400)
            if any(run["attempts"] > 1 for run in service.items(f"/studies/{other}/runs")):
                self.names[name] = other
                self.left.remove(name)


@pytest.fixture(scope="module")
def killed(service: Any) -> Killed:
    for name in STUDIES:
        service.wait_until_finished(name, 400)  # undisturbed
    return Killed(service)


def essence(service: Any, name: str) -> list[dict[str, Any]]:
    """What a study is about: everything of its runs, and of what they reported, but times and numbers of attempts."""
    keys = ("number", "trial", "kind", "state", "config", "metrics", "resume_from", "origin")
    reports = service.items(f"/studies/{name}/reports")
    return [
        {
            **{key: run[key] for key in keys},
            "reports": [(report["step"], report["metrics"]) for report in reports if report["run"] == run["number"]],
        }
        for run in service.items(f"/studies/{name}/runs")
    ]


def verdict(service: Any, name: str) -> Any:
    database = Database(sqlite_url(service.data_dir / "assay.db"))
    try:
        with database.session(write=False) as session:
            return verify(stored_record(session, Studies(session, DEFAULT_PROJECT_ID).get(name)))
    finally:
        database.dispose()


@pytest.mark.parametrize("name", STUDIES)
def test_every_search_comes_to_its_end(service: Any, name: str) -> None:
    ended = service.wait_until_finished(name, 400)
    assert ended["state"] == "completed", ended["reason"]
    runs = service.items(f"/studies/{name}/runs")
    failures = {run["failure"]["class"] for run in runs if run["failure"]}
    assert failures <= ({"infeasible"} if name not in ONE_SHOT else set()), "some cells connect nothing"
    space = Space.from_json(STUDIES[name]["space"])
    for run in runs:
        space.validate(run["config"])
    assert ended["best"]["metrics"]["val_accuracy"] > 0.15, "above chance, which is 0.1"
    assert verdict(service, name) == Verified(runs=len(runs), stops=0)


@pytest.mark.parametrize("name", ONE_SHOT)
def test_the_best_of_a_ranking_are_trained(service: Any, name: str) -> None:
    ended = service.wait_until_finished(name, 400)
    first, *others = service.items(f"/studies/{name}/runs")
    assert first["kind"] == "supernet"
    assert {run["kind"] for run in others} == {"train"}
    ranks = [run["origin"]["rank"] for run in others]
    assert 1 in ranks
    assert len(set(ranks)) == len(ranks) >= 2
    own = [run["origin"].get("own", False) for run in others]
    assert sum(own) <= 1, "what the search has come to, unless that connects nothing"
    assert True not in own[1:], "and it is trained first"
    assert ended["best"]["trial"] != first["trial"]
    options = STUDIES[name]["algorithm"]
    reports = [report for report in service.items(f"/studies/{name}/reports") if report["run"] == 0]
    assert [report["step"] for report in reports] == list(range(1, len(reports) + 1))
    if options.get("response") == "stop":
        assert 2 <= len(reports) <= options["epochs"], "a rise of the curvature, for which two looks are compared"
    else:
        assert len(reports) == options["epochs"]
    for report in reports:
        weights = [value for key, value in report["metrics"].items() if key.startswith("weight.cell.0-1.")]
        assert not weights or sum(weights) == pytest.approx(1)


@pytest.mark.parametrize("name", STUDIES)
def test_a_killed_search_equals_an_undisturbed_one(service: Any, killed: Killed, name: str) -> None:
    other = killed.name(name)
    ended = service.study(other)
    assert ended["state"] == "completed", ended["reason"]
    assert essence(service, other) == essence(service, name)
    for which in ("best", "test"):
        assert ended[which]["metrics"] == service.study(name)[which]["metrics"]
    steps = Counter((report["run"], report["step"]) for report in service.items(f"/studies/{other}/reports"))
    assert max(steps.values()) == 1, "no step is there twice"
    assert verdict(service, other) == Verified(runs=len(service.items(f"/studies/{other}/runs")), stops=0)


def test_killed_supernets_go_on_from_their_last_epoch(service: Any, killed: Killed) -> None:
    """A search saves an epoch before it reports it; so one that was heard of need not begin anew."""
    hit = {killed.name(name): service.items(f"/studies/{killed.name(name)}/runs/0/attempts") for name in ONE_SHOT}
    # others were hit in the trainings that follow
    hit = {other: attempts for other, attempts in hit.items() if len(attempts) > 1}
    assert len(hit) >= 3
    for *lost, last in hit.values():
        assert last["state"] == "succeeded"
        assert {one["state"] for one in lost} == {"superseded"}
    assert len(killed.heard & hit.keys()) >= 3
    for other in killed.heard & hit.keys():
        assert hit[other][0]["checkpoint_step"], f"{other} was heard of, and has lost what it had done"
