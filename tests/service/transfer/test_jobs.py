"""Jobs go with their study: what they found, and the checks that wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search.history import RunState
from service.job_schemas import Finalize
from service.jobs.finalization import finalize
from service.models import DEFAULT_PROJECT_ID
from service.repositories.jobs import Jobs
from service.repositories.owned import Owned
from service.repositories.studies import Studies
from service.transfer.exporting import exported
from spaces.errors import InvalidInput

NewSite = Callable[[], Any]
Body = Callable[[bytes], list[Any]]
TRAIN: dict[str, Any] = {
    "space": {"parameters": [{"name": "width", "type": "int", "low": 16, "high": 64, "default": 24}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "budget": {"max_runs": 2},
    "seed": 1,
}
FOUND = {"lrs": [1e-4, 0.1], "losses": [2.3, 0.5], "low": 0.001, "high": 0.03, "diverged": None}


def add(site: Any, study_id: int, kind: str, state: RunState, finalization: int = 0, **fields: Any) -> None:
    with site.database.session() as session:
        study = Owned(session).lock(study_id)
        common = {"config": {"x": 0.5}, "fidelity": None, "seed": 3, "author": "bob", "trial": None}
        job = Jobs(session).add(study, kind=kind, finalization=finalization, **{**common, **fields})
        job.state = state


def jobs(site: Any) -> list[Any]:
    with site.database.session(write=False) as session:
        return list(Jobs(session).of(site.study().id))


def test_a_study_that_was_looked_into_and_finalized_comes_back(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], sqlite_database: Any, new_site: NewSite, body: Body
) -> None:
    def drive() -> None:
        turn()
        while pool.open:
            for one in list(pool.open.values()):
                pool.finish(one, **({"test_accuracy": 0.9} if one.task == "test" else {"val_accuracy": 0.9}))
            turn()

    study_id = create(**TRAIN)
    for _ in range(3):  # what follows from a job is noticed at the next look
        drive()
    with sqlite_database.session() as session:
        finalize(session, Owned(session).lock(study_id), Finalize(top=1, seeds=1, ensemble=0), "bob")
    for _ in range(3):
        drive()
    with sqlite_database.session(write=False) as session:
        content = b"".join(exported(session, Studies(session, DEFAULT_PROJECT_ID).get("s")))
    there = new_site()
    there.take_in(content)
    assert [job.kind for job in jobs(there)][-2:] == ["confirm", "refit"]
    assert body(there.export()) == body(content)


def test_what_jobs_found_comes_along_and_what_was_under_way_does_not(new_site: NewSite, body: Body) -> None:
    here, there = new_site(), new_site()
    study_id = here.create(budget={"max_runs": 4})
    here.play()
    add(here, study_id, "lr_range", RunState.SUCCEEDED, details=FOUND)
    add(here, study_id, "baseline", RunState.RUNNING)
    add(here, study_id, "overfit", RunState.FAILED, failure={"class": "error", "message": "no", "traceback": ""})
    add(here, study_id, "confirm", RunState.RUNNING, finalization=1, trial=0, options={"data": "train", "ensemble": 3})
    there.take_in(here.export())
    assert [(job.kind, job.state) for job in jobs(there)] == [
        ("lr_range", RunState.SUCCEEDED),
        ("baseline", RunState.PENDING),
        ("overfit", RunState.FAILED),
        ("confirm", RunState.CANCELLED),
    ]
    assert jobs(there)[0].details == FOUND
    assert there.study().checks == 1
    assert body(there.export()) == body(here.export())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "magic"}, "unknown kind of job"),
        ({"number": 7}, "must be 0"),
        ({"trial": 99}, "no trial 99"),
        ({"runs": [99]}, "no run 99"),
        ({"state": "running"}, "must be that of a job that has ended"),
        ({"finalization": 1, "state": "pending"}, "must be that of a job that has ended"),
        ({"details": {"low": 1}}, "lacks diverged, high, losses, lrs"),
        ({"state": "failed", "failure": {"class": "error"}}, "must have the texts class, message, traceback"),
    ],
)
def test_what_no_job_can_be_is_refused(
    change: dict[str, Any], message: str, new_site: NewSite, body: Body, seal: Callable[[list[Any]], bytes]
) -> None:
    here, there = new_site(), new_site()
    study_id = here.create(budget={"max_runs": 2})
    here.play()
    add(here, study_id, "lr_range", RunState.SUCCEEDED, details=FOUND)
    lines = [{**line, **change} if line.get("record") == "job" else line for line in body(here.export())]
    with pytest.raises(InvalidInput, match=message):
        there.take_in(seal(lines))
    assert there.names() == set()
