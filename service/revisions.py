"""A study over again in a changed space, and the change that its checks propose.

The spec of a study never changes: its decisions could not be derived again, and its results would be read in a space
in which they were not found. So a revision is a new study, which may learn from the old one's results, and may take its
place while that one has not ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.history import RunState
from service.database import Session
from service.lifecycle import Draft, draft_study
from service.models import Json, Study
from service.repositories.jobs import Jobs
from service.specs import search_spec
from service.states import StudyState
from spaces import Change, Float, InvalidInput, Narrow, Parameter, Space, Widen, revise

LR = "lr"
NOT_GIVEN = ("derived", "warm_start")
"""What is stored of a study without that anybody gave it; what it learned from stands beside its spec."""


@dataclass(frozen=True, slots=True)
class Revised:
    """A parameter before and after the changes; None where there is no such one."""

    name: str
    before: Parameter | None
    after: Parameter | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """The changes that the checks propose; without any, `why` says what is in the way."""

    changes: Sequence[Change]
    revised: Sequence[Revised]
    why: str


def proposal(session: Session, study: Study) -> Proposal:
    """The learning rate's range, as the range test found it."""
    job = next((job for job in Jobs(session).of(study.id, finalization=0) if job.kind == "lr_range"), None)
    if job is None:
        return Proposal((), (), "the study has no learning-rate range test")
    if not RunState(job.state).finished:
        return Proposal((), (), "the learning-rate range test has not ended")
    if job.state != RunState.SUCCEEDED or not job.details:
        return Proposal((), (), f"the learning-rate range test has {job.state}")
    space = search_spec(study).space
    present = _found(space, LR)
    if not isinstance(present, Float):
        is_ = "is no parameter of the space" if present is None else f"is {present.type}: it has no range"
        return Proposal((), (), f"{LR} {is_}")
    changes = _towards(present, job.details["low"], job.details["high"])
    if not changes:
        return Proposal((), (), f"the range of {LR} is the proposed one already")
    try:
        after = revise(space, changes)
    except InvalidInput as error:
        return Proposal((), (), f"the range of {LR} cannot become the proposed one: {error.problems[0].message}")
    return Proposal(changes, compared(space, after), f"the learning-rate range test (job {job.number})")


def _towards(present: Float, low: float, high: float) -> list[Change]:
    """To exactly this range: first out to what holds both, then in."""
    changes: list[Change] = []
    if low < present.low or high > present.high:
        changes.append(Widen(LR, min(low, present.low), max(high, present.high)))
    if low > present.low or high < present.high:
        changes.append(Narrow(LR, low, high))
    return changes


def compared(before: Space, after: Space) -> list[Revised]:
    """The parameters that are not the same."""
    names = dict.fromkeys([*(parameter.name for parameter in before), *(parameter.name for parameter in after)])
    pairs = [Revised(name, _found(before, name), _found(after, name)) for name in names]
    return [pair for pair in pairs if pair.before != pair.after]


def _found(space: Space, name: str) -> Parameter | None:
    return next((parameter for parameter in space if parameter.name == name), None)


def draft_revision(
    session: Session, study: Study, name: str, changes: Sequence[Change], *, learn: bool, may_execute: bool
) -> Draft:
    """The same study in the revised space, checked as any other. It begins with what the old one began with, as that is
    kept there (those studies may be elsewhere), and with the results of the old one where it shall `learn` from them
    and they are all there. It only reads. Raises InvalidInput, with the index of a change first in the path when that
    cannot be made; and as `draft_study`."""
    space = revise(search_spec(study).space, changes)
    payload: Json = {key: value for key, value in study.spec.items() if key not in NOT_GIVEN}
    payload |= {"name": name, "space": space.to_json(), "priority": study.priority}
    if isinstance(checks := payload.get("checks"), dict):
        payload["checks"] = {kind: asked for kind, asked in checks.items() if kind != "pause"}
    if learn and StudyState(study.state).finished and study.standing:
        payload["warm_start"] = [study.name]
    return draft_study(session, payload, study.project_id, may_execute=may_execute, sources=study.sources or ())
