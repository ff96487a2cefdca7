"""The finalization of a study that has ended: is its best really the best, and what is to be handed over?

    confirm    the best trials (by the study's own results), trained with several new seeds each
    refit      the one with the best mean, trained once more, tested once and kept as a file
    ensemble   of the runs that are there and of the confirmations, with a report on calibration

`refit` and `ensemble` begin when all confirmations have ended. Everything follows from the jobs' rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search import judge, stream
from search.confirmation import Confirmed, confirmed
from search.history import Outcome, RunState
from service.database import Session
from service.job_schemas import Finalize
from service.models import Job, Study
from service.problems import NOT_ALLOWED, Refused
from service.repositories.events import Events
from service.repositories.jobs import Jobs
from service.repositories.standings import Standings
from service.specs import read_spec, search_spec
from service.states import StudyState
from workers.jobs import CONFIRMATIONS, kinds_of


def finalize(session: Session, study: Study, wishes: Finalize, author: str) -> int:
    """Adds the first jobs of a new finalization, and returns its number. The study's row is locked. Raises Refused."""
    dataset = study.spec["objective"].get("dataset")
    if isinstance(dataset, Mapping) and "key" not in dataset:
        raise Refused(NOT_ALLOWED, f"the dataset {dataset.get('name')!r} that the study was trained on is not here")
    if not kinds_of(study.spec["objective"]):
        raise Refused(
            NOT_ALLOWED, "only studies of the objective train can be finalized: what they train is known here"
        )
    if not StudyState(study.state).finished:
        raise Refused(NOT_ALLOWED, f"the study is {study.state}; it can be finalized when it has ended")
    jobs, spec = Jobs(session), search_spec(study)
    if any(not RunState(job.state).finished for job in jobs.of(study.id) if job.finalization):
        raise Refused(NOT_ALLOWED, "a finalization of the study is under way")
    best = Standings(session).best_of_trials(study, wishes.top)
    if feasible := [row for row in best if not row.run.violation]:
        best = feasible
    if not best:
        raise Refused(NOT_ALLOWED, "no run of the study has succeeded; there is nothing to finalize")
    number = jobs.last_finalization(study.id) + 1
    fidelity = spec.space.fidelity
    kept = max(2, CONFIRMATIONS // len(best)) if wishes.ensemble and _mixes(study) else 0  # seeds of each trial
    for row in best:
        for replicate in range(wishes.seeds):
            jobs.add(
                study,
                finalization=number,
                kind="confirm",
                trial=row.run.trial,
                config=row.trial.config,
                fidelity=fidelity.high if fidelity else None,
                seed=int(stream(spec.seed, replicate, f"finalization/{number}").integers(2**31)),
                options={"data": wishes.data, "ensemble": wishes.ensemble, "keep": replicate < kept},
                author=author,
            )
    Events(session).append(study, "study.finalizing", data={"finalization": number})
    return number


def part_ended(session: Session, study: Study, job: Job) -> None:
    """Goes on with the finalization that an ended job is a part of. The study's row is locked."""
    parts = Jobs(session).of(study.id, job.finalization)
    if any(not RunState(part.state).finished for part in parts):
        return
    confirmations = [part for part in parts if part.kind == "confirm"]
    if len(confirmations) == len(parts):
        ranked = ranking(study.spec, parts)
        if ranked:
            _hand_over(session, study, confirmations, ranked[0])
            return
    over(session, study, job)


def cancel(session: Session, study: Study) -> int:
    """Ends the finalization that is under way, and returns its number; the dispatchers end what runs of it. What was
    found stays. The study's row is locked. Raises Refused."""
    jobs = Jobs(session)
    number = jobs.last_finalization(study.id)
    parts = jobs.of(study.id, number) if number else []
    if all(RunState(part.state).finished for part in parts):
        raise Refused(NOT_ALLOWED, "no finalization of the study is under way")
    jobs.cancel(study.id, number)
    over(session, study, parts[0])
    return number


def over(session: Session, study: Study, job: Job) -> None:
    """Nothing more follows from the finalization that an ended job was a part of, unless others of its go on."""
    state = state_of(Jobs(session).of(study.id, job.finalization))
    if state == "running":
        return
    Events(session).append(study, "study.finalized", data={"finalization": job.finalization, "state": state})


def state_of(parts: Sequence[Job]) -> str:
    """Of a finalization: it fails where there is no model in the end, and nobody cancelled it."""
    states = {RunState(part.state) for part in parts}
    if any(not state.finished for state in states):
        return "running"
    if RunState.CANCELLED in states:
        return "cancelled"
    made = any(part.kind == "refit" and part.state == RunState.SUCCEEDED for part in parts)
    return "succeeded" if made else "failed"


def ranking(spec: Mapping[str, Any], parts: Sequence[Job]) -> list[Confirmed]:
    """The confirmed trials of a finalization, the best first, by the study's first metric."""
    metric, search = spec["metrics"][0], read_spec(spec, stored=True)
    scores: dict[int, list[float]] = {}
    wanted: Counter[int] = Counter()
    violations: dict[int, float] = {}
    for part in parts:
        if part.kind != "confirm" or part.trial is None:
            continue
        wanted[part.trial] += 1
        verdict = judge(search, part.metrics) if part.metrics else None
        if isinstance(verdict, Outcome) and part.metrics:
            scores.setdefault(part.trial, []).append(part.metrics[metric["name"]])
            violations[part.trial] = violations.get(part.trial, 0.0) + verdict.violation
    # behind all others: who breaks a constraint, and who could not be trained with every seed
    behind = {trial for trial, found in scores.items() if len(found) < wanted[trial] or violations[trial] > 0}
    return confirmed(scores, maximize=metric["direction"] == "maximize", behind=behind)


def _hand_over(session: Session, study: Study, confirmations: Sequence[Job], winner: Confirmed) -> None:
    """The last training of the winner, and the ensembles."""
    jobs, first = Jobs(session), next(job for job in confirmations if job.trial == winner.trial)
    common = {"finalization": first.finalization, "fidelity": first.fidelity, "author": first.author}
    card = {
        "study": study.name,
        "trial": winner.trial,
        "config": first.config,
        "confirmed": {"mean": winner.mean, "half_width": winner.half_width, "scores": list(winner.scores)},
        "metric": study.spec["metrics"][0],
    }
    options = {"data": first.options["data"], "card": card}
    jobs.add(study, kind="refit", trial=winner.trial, config=first.config, seed=first.seed, options=options, **common)
    kept = [row for row in Standings(session).best_of_trials(study, first.options["ensemble"]) if row.run.checkpoint]
    confirmed = [job for job in confirmations if job.options.get("keep") and job.state == RunState.SUCCEEDED]
    if first.options["ensemble"] and len(kept) + len(confirmed) > 1 and _mixes(study):
        numbers, best = [row.run.number for row in kept], {"best": winner.trial}
        jobs.add(study, kind="ensemble", config=first.config, seed=first.seed, runs=numbers, options=best, **common)


def _mixes(study: Study) -> bool:
    return any(kind.name == "ensemble" for kind in kinds_of(study.spec["objective"]))
