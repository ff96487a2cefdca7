"""A study as it is stored, for its decisions to be derived again."""

from __future__ import annotations

from search.replay import Record
from service.database import Session
from service.engagement import stored_events
from service.models import Study
from service.planner import OUT_OF_TIME, reason_of
from service.repositories.runs import Runs
from service.specs import search_spec
from service.states import StudyState


def stored_record(session: Session, study: Study) -> Record:
    """All of it so far. Raises InvalidInput when its stored spec is not valid for this version of the code."""
    spec = search_spec(study)
    return Record(
        study=spec,
        events=stored_events(session, spec, study.id),
        stops=Runs(session).stops(study.id),
        finished=study.state == StudyState.COMPLETED and study.reason != reason_of(OUT_OF_TIME),
    )
