"""A checked file as rows: a study of its own, in one transaction.

What had not ended is not carried on by itself: the study is paused, attempts that were under way have ended as
superseded, and their runs wait for others. `resume` goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from search.history import RunState
from service import models
from service.database import Session
from service.datasets.references import resolved_dataset
from service.models import Json, Study
from service.repositories.events import Events
from service.repositories.jobs import Jobs
from service.repositories.projects import Projects
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.repositories.studies import Studies
from service.repositories.transfer import Collision, Transfers
from service.states import AttemptState, StudyState
from service.store import keys
from service.transfer.checking import Checked
from service.transfer.records import ArtifactRecord, AttemptRecord, Record, RunRecord, StudyRecord, TrialRecord
from service.transfer.results import derived_columns
from spaces.errors import InvalidInput

IMPORTED = "imported"
"""Why a study is paused that was active where it comes from."""


def store_study(session: Session, project_id: int, name: str, checked: Checked) -> Study:
    """Stores it under this name. Raises NameTaken, QuotaUsedUp when the project may have no more open studies, and
    InvalidInput for rows that exclude each other, or a dataset that the project does not have."""
    given = checked.study
    projects = Projects(session)
    if given.state.finished:
        projects.lock(project_id)
    else:
        projects.make_room_for_study(project_id)
    spec = {**checked.spec, "objective": _objective(session, project_id, given)}
    study = Studies(session, project_id).add(name, spec, given.sources)
    study.priority = given.priority
    study.state, study.reason = given.state, given.reason
    study.created_at, study.started_at, study.finished_at = given.created_at, given.started_at, given.finished_at
    study.active_seconds = given.active_seconds
    study.counts = {str(state): number for state, number in checked.runs.items()}
    study.trials, study.fidelity, study.last_event = checked.trials, checked.fidelity, checked.events
    session.flush()
    _add_rows(session, study.id, checked)
    study.checks = Jobs(session).open_checks(study.id)
    study.standing = {"incumbents": checked.incumbents}
    Standings(session).update(study, checked.search, checked.history)
    if not given.state.finished:
        _interrupt(session, study)
    return study


def _objective(session: Session, project_id: int, given: StudyRecord) -> Json:
    """With the place of its dataset; where the study has ended, it may be gone."""
    objective: Json = given.spec["objective"]
    dataset = objective.get("dataset")
    if not isinstance(dataset, Mapping):
        return objective
    try:
        return {**objective, "dataset": resolved_dataset(session, project_id, dataset, hold=True)}
    except InvalidInput as invalid:
        if given.state.finished:
            return objective
        raise invalid.under("line 2: study", "spec") from invalid


def _add_rows(session: Session, study_id: int, checked: Checked) -> None:
    transfers = Transfers(session)
    for table, rows in _by_table(_rows(study_id, checked)):
        try:
            transfers.add(table, rows)
        except Collision as error:
            raise InvalidInput.at((table.__tablename__,), f"two of them exclude each other ({error})") from error


def _rows(study_id: int, checked: Checked) -> Iterator[tuple[type[models.Base], dict[str, Any]]]:
    for line in checked.file.records(again=True):
        record = line.record
        if not isinstance(record, StudyRecord):
            yield record.table, _row(study_id, record, checked)


def _by_table(
    rows: Iterator[tuple[type[models.Base], dict[str, Any]]],
) -> Iterator[tuple[type[models.Base], Iterator[dict[str, Any]]]]:
    for table, group in groupby(rows, key=lambda item: item[0]):
        yield table, (row for _, row in group)


def _row(study_id: int, record: Record, checked: Checked) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in type(record).model_fields} | {"study_id": study_id}
    match record:
        case TrialRecord(invalidated=invalidated) if invalidated is not None:
            row["invalidated"] = invalidated.model_dump()
        case RunRecord():
            row |= derived_columns(checked.search, record)
            if record.metrics is None:
                del row["metrics"]  # not JSON's null
        case AttemptRecord():
            row["token"] = uuid.uuid4().hex  # nobody ever had it
        case ArtifactRecord():
            row["path"] = keys.new_artifact(study_id, record.run, record.attempt)  # where there is no file
    return row


def _interrupt(session: Session, study: Study) -> None:
    """Nobody carries it out any more."""
    runs, events = Runs(session), Events(session)
    for row in runs.open(study.id):
        runs.end_attempt(row.run, AttemptState.SUPERSEDED)
        if row.run.state == RunState.RUNNING:
            events.move_run(study, row.run, RunState.PENDING, {"after": IMPORTED})
    if study.state == StudyState.ACTIVE:
        events.move_study(study, StudyState.PAUSED, IMPORTED)
