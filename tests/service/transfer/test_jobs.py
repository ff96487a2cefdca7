"""Jobs go with their study: what they found, and the checks that wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from search.history import RunState
from service.repositories.jobs import Jobs
from service.repositories.owned import Owned
from spaces.errors import InvalidInput

NewSite = Callable[[], Any]
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


def test_what_jobs_found_comes_along_and_what_was_under_way_does_not(new_site: NewSite) -> None:
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
    again = [json.loads(line) for line in there.export().splitlines()][1:-1]
    assert [line for line in again if line["record"] == "job"] == [
        json.loads(line) for line in here.export().splitlines() if b'"record":"job"' in line
    ]


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
def test_what_no_job_can_be_is_refused(change: dict[str, Any], message: str, new_site: NewSite) -> None:
    here, there = new_site(), new_site()
    study_id = here.create(budget={"max_runs": 2})
    here.play()
    add(here, study_id, "lr_range", RunState.SUCCEEDED, details=FOUND)
    lines = [json.loads(line) for line in here.export().splitlines()][:-1]
    lines = [{**line, **change} if line.get("record") == "job" else line for line in lines]
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    end = {"end": {"lines": len(lines), "sha256": sha256(body).hexdigest()}}
    with pytest.raises(InvalidInput, match=message):
        there.take_in(body + json.dumps(end, separators=(",", ":")).encode() + b"\n")
    assert there.names() == set()
