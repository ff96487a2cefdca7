"""Jobs go with their study: what they found, and the checks that wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.history import RunState
from service.job_schemas import Finalize
from service.jobs.finalization import finalize
from service.models import DEFAULT_PROJECT_ID
from service.repositories.jobs import Jobs
from service.repositories.owned import Owned
from service.repositories.studies import Studies
from service.transfer.details import DETAILS
from service.transfer.exporting import exported
from spaces.errors import InvalidInput
from workers.jobs import carry_out
from workers.protocol import Assignment, Job, Member

NewSite = Callable[[], Any]
Body = Callable[[bytes], list[Any]]
TRAIN: dict[str, Any] = {
    "space": {"parameters": [{"name": "width", "type": "int", "low": 16, "high": 64, "default": 24}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "budget": {"max_runs": 2},
    "seed": 1,
}
OVERFIT = {"passed": True, "score": "accuracy", "value": 1.0, "epochs": 4, "why": ""}
ENSEMBLE = {"members": [{"trial": 0, "weight": 1}], "single": {"val_loss": 0.2}, "ensemble": {"val_loss": 0.2}}
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
        ({"details": {"low": 1}}, "details.lrs: is required"),
        ({"details": FOUND | {"low": "a"}}, "details.low: must be a number"),
        ({"details": FOUND | {"lrs": 3}}, "details.lrs: must be a list, got 3"),
        ({"details": FOUND | {"lrs": [0, 1]}}, r"details.lrs\[0\]: must be above 0"),
        ({"details": FOUND | {"lrs": [0.1]}}, "details: must have as many losses as lrs, got 2 and 1"),
        ({"details": FOUND | {"low": 0.1}}, "must have a low of at most its high"),
        ({"kind": "overfit", "details": OVERFIT | {"value": "1"}}, "details.value: must be a number"),
        ({"kind": "refit", "details": {"card": 3}}, "details.card: must be an object, got 3"),
        ({"kind": "ensemble", "details": ENSEMBLE | {"single": 3}}, "details.single: must be an object, got 3"),
        ({"kind": "ensemble", "details": ENSEMBLE | {"members": [{"trial": 0}]}}, "weight: is required"),
        ({"kind": "ensemble", "details": ENSEMBLE | {"kinds": [{"kind": []}]}}, "kind: must be a text"),
        ({"kind": "ensemble", "details": ENSEMBLE | {"calibration": {"single": {}}}}, "bins: is required"),
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


@pytest.mark.parametrize("dataset", ["digits", "diabetes"])
def test_what_jobs_really_find_is_what_an_import_takes(dataset: str, tmp_path: Path) -> None:
    """And all that it reads is there, whether it must be or not."""
    levels = ("epochs", 2, 2)
    objective = {"type": "train", "family": "mlp", "dataset": dataset}
    work = Assignment("1", objective, {"width": 16}, 1, levels, task="job", checkpoint=tmp_path / "kept")
    assert carry_out(replace(work, job=Job("confirm", {}, ()))).checkpointed
    members = tuple(Member(1, work.config, 1, tmp_path / "kept", levels, source="confirmation") for _ in range(2))
    for kind, model in DETAILS.items():
        job = Job(kind, {}, members if kind == "ensemble" else ())
        kept = tmp_path / "model" if kind == "refit" else None
        found = carry_out(replace(work, job=job, checkpoint=kept)).details
        model.model_validate(found)
        lacks = {"calibration"} if dataset == "diabetes" else set()
        assert set(found) >= model.model_fields.keys() - lacks, "nothing is read that nobody says"
