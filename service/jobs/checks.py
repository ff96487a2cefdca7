"""The checks of a study of the objective `train`, before its first run: is it worth its budget?

    baseline   the scores of the cheap standard model, which every trial has to beat
    overfit    whether the default config learns 64 examples by heart; where it does not, the study pauses
    lr_range   which learning rates are worth searching

A study waits until they have ended, however they did, and with `pause` until somebody resumes it. Whoever resumes a
study that the gate paused searches anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search import stream
from service.database import Session
from service.models import Job, Study
from service.repositories.events import Events
from service.repositories.jobs import Jobs
from service.specs import search_spec
from service.states import StudyState
from workers.jobs import kinds_of

AUTHOR = "assay"


def wanted(spec: Mapping[str, Any]) -> list[str]:
    """The kinds of checks that a study (its spec as it is stored) has: all of its objective, but those it turns off."""
    asked = spec.get("checks", True)
    kinds = [kind.name for kind in kinds_of(spec["objective"]) if kind.when == "before"]
    if isinstance(asked, Mapping):
        return [kind for kind in kinds if asked.get(kind, True)]
    return kinds if asked else []


def add_checks(session: Session, study: Study) -> None:
    """Of a new study."""
    kinds = wanted(study.spec)
    if not kinds:
        return
    spec = search_spec(study)
    fidelity = spec.space.fidelity
    for kind in kinds:
        Jobs(session).add(
            study,
            kind=kind,
            config=spec.space.default(),
            fidelity=fidelity.high if fidelity else None,
            seed=int(stream(spec.seed, 0, "check").integers(2**31)),
            author=AUTHOR,
        )
    study.checks = len(kinds)


def check_ended(session: Session, study: Study, job: Job) -> None:
    """Takes over what a check found, when it has ended. The study's row is locked."""
    study.checks = max(0, study.checks - 1)
    found = job.details or {}
    Events(session).append(study, "study.checked", data={"job": job.number, "kind": job.kind, "state": job.state})
    if job.kind == "overfit" and found.get("passed") is False and study.state == StudyState.ACTIVE:
        value = "no number" if found["value"] is None else f"{found['value']:.4g}"
        reason = (
            f"the default config does not learn {found['examples']} examples by heart ({found['score']} {value} after "
            f"{found['epochs']} epochs, wanted {found['wanted']:.4g}): {found['why']}. Resume it to search anyway"
        )
        Events(session).move_study(study, StudyState.PAUSED, reason)
    if not study.checks and study.state == StudyState.ACTIVE and _waits(study):
        Events(session).move_study(
            study, StudyState.PAUSED, "its checks have ended: look at them, and resume it to search"
        )


def _waits(study: Study) -> bool:
    asked = study.spec.get("checks")
    return isinstance(asked, Mapping) and bool(asked.get("pause"))
