"""A study as it is stored, for its decisions to be derived again."""

from __future__ import annotations

from search.replay import Record
from service.database import Session
from service.decisions import OUT_OF_TIME, reason_of
from service.models import Study
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.states import StudyState
from service.tracking import tracked


def stored_record(session: Session, study: Study) -> Record:
    """All of it so far. Raises InvalidInput when its stored spec is not valid for this version of the code."""
    known = tracked(session, study)
    return Record(
        study=known.spec,
        events=known.history.events,
        stops=Runs(session).stops(study.id),
        finished=study.state == StudyState.COMPLETED
        and study.reason != reason_of(OUT_OF_TIME)
        and not _invalidated_since(session, study),
    )


def _invalidated_since(session: Session, study: Study) -> bool:
    """Whether results were taken out after the study had ended: then the search might well go on."""
    ended = Events(session).last(study.id, f"study.{StudyState.COMPLETED}")
    return ended is not None and bool(Runs(session).invalidated(study.id, ended))
