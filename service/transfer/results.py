"""How the runs of a file ended."""

from __future__ import annotations

from search import Invalid, StudySpec, judge
from search.found import verdict
from search.history import RunState
from service.models import Json
from service.transfer.reading import Line
from service.transfer.records import RunRecord


def check_result(search: StudySpec, line: Line, run: RunRecord, config: Json) -> None:
    """What a run has exactly when it has ended, and ended so. Raises InvalidInput."""
    ended = run.state.finished
    with_result = run.state in (RunState.SUCCEEDED, RunState.STOPPED)
    for name, there in (("ended_event", ended), ("finished_at", ended), ("metrics", with_result)):
        if (getattr(run, name) is not None) != there:
            message = f"{'is missing from' if there else 'does not go with'} a run that is {run.state}"
            raise line.wrong(name, message)
    if (run.failure_class is not None) != (run.state is RunState.FAILED):
        raise line.wrong("failure_class", f"does not go with a run that is {run.state}")
    if run.state is RunState.SUCCEEDED:
        judged = verdict(search, run.kind, config, run.metrics or {}, run.details)
        if isinstance(judged, Invalid):
            raise line.wrong("details" if run.kind == "supernet" else "metrics", judged.message)
    if run.details is not None and (run.kind != "supernet" or run.state is not RunState.SUCCEEDED):
        raise line.wrong("details", f"does not go with a run that is {run.state}, of kind {run.kind}")
    if (stop := run.stopped_by) is not None:
        step = stop.get("step")
        sound = isinstance(stop.get("rule"), str) and stop.get("outcome") in (RunState.STOPPED, RunState.SUCCEEDED)
        if not sound or not isinstance(step, int | float) or isinstance(step, bool):
            raise line.wrong("stopped_by", "must have a rule, an outcome (stopped or succeeded) and a step")


def derived_columns(search: StudySpec, run: RunRecord) -> Json:
    """What the table of runs has for ordering."""
    if run.state is not RunState.SUCCEEDED or run.metrics is None or run.kind == "supernet":
        return {"value": None, "violation": 0.0}
    judged = judge(search, run.metrics)
    assert not isinstance(judged, Invalid), "it was checked"
    return {"value": run.metrics[search.metrics[0].name], "violation": judged.violation}
