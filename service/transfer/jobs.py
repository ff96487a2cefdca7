"""What a job of an imported study must be, for its pages to be shown and its dispatcher to have something to do."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from search.history import RunState
from service.explain import problems_of
from service.transfer.details import DETAILS
from service.transfer.reading import Line
from service.transfer.records import JobRecord
from spaces.checks import unknown
from spaces.errors import InvalidInput
from workers.jobs import JOBS

FAILURE: Mapping[str, type] = {"class": str, "message": str, "traceback": str}
ENDS = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}


def check_job(line: Line, job: JobRecord) -> None:
    """By itself, whatever the study is. Raises InvalidInput."""
    if job.kind not in JOBS:
        raise line.wrong("kind", unknown("kind of job", job.kind, JOBS))
    if job.state not in ENDS | (set() if job.finalization else {RunState.PENDING}):
        raise line.wrong("state", f"must be that of a job that has ended, or of a check that waits, got {job.state}")
    if job.failure is not None and {key: type(value) for key, value in job.failure.items()} != FAILURE:
        raise line.wrong("failure", f"must have the texts {', '.join(FAILURE)}")
    if job.details and (model := DETAILS.get(job.kind)):
        try:
            model.model_validate(job.details)
        except ValidationError as error:
            found = InvalidInput(problems_of(error.errors(include_url=False), model))
            raise found.under(line.name, "details") from None
