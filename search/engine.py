"""What to do next in a study: a pure function of its specification and its history.

The scheduler says where the next run belongs, the sampler what it tries, and the engine keeps the budget: it asks for
no new trials once the space or the budget has none left, and starts nothing that the budget does not cover.
"""

from __future__ import annotations

from functools import partial

from search.actions import Done, Evaluate, Promote, Sample, Wait
from search.algorithms import ALGORITHMS
from search.history import Added, History, Run
from search.ledger import cost, spent
from search.points import points
from search.results import target_reached
from search.spec import StudySpec
from search.streams import stream

ROUND_OFF = 1 + 1e-9
"""A sum of fractional fidelities may exceed the limit that it equals on paper by this factor."""


def ask(study: StudySpec, history: History) -> Run | Wait | Done:
    """The next run, not yet part of the history; or why there is none.

    `Wait` holds until an open run has ended, `Done` for good (runs may still be open). The same specification and
    events give the same answer in every process.
    """
    if end := _end(study, history):
        return end
    algorithm = ALGORITHMS[study.algorithm.name]
    scheduler = algorithm.scheduler(study.space, study.algorithm.options)
    closed = _no_new_trials(study, history)
    action = scheduler.next(history, new_trials=closed is None)
    if isinstance(action, Sample | Evaluate) and not _covered(study, history, cost(history, action.slot.fidelity)):
        closed = _no_fidelity(study, history)
        action = scheduler.next(history, new_trials=False)

    number, trial = len(history.runs), history.trial_count
    match action:
        case Sample(slot):
            sampler = algorithm.sampler(study.space, study.algorithm.options)
            config, origin = sampler.sample(action, history, partial(stream, study.seed, trial))
            return Run(number, trial, config, slot, origin=origin)
        case Evaluate(slot, config, kind, origin):
            return Run(number, trial, config, slot, kind, origin)
        case Promote(slot, resumed, origin):
            if not _covered(study, history, cost(history, slot.fidelity, resumed)):
                return _until_open_runs_end(study, history)
            promoted = history.runs[resumed]
            return Run(number, promoted.trial, promoted.config, slot, promoted.kind, origin, resumed)
        case Wait():
            assert history.open_count, "a wait that nothing ends"
            return action
        case Done():
            return action
        case None:
            assert closed is not None, "a scheduler that may start trials says itself when it is done"
            return closed


def ask_many(study: StudySpec, history: History, k: int) -> tuple[list[Run], Wait | Done | None]:
    """The next runs, at most `k`, each added to the history before the next one is asked for.

    The second part tells why there are fewer than `k`, and is None when there are not.
    """
    runs: list[Run] = []
    while len(runs) < k:
        answer = ask(study, history)
        if not isinstance(answer, Run):
            return runs, answer
        history.append(Added(answer))
        runs.append(answer)
    return runs, None


def _end(study: StudySpec, history: History) -> Done | None:
    """The limits after which nothing at all is started."""
    budget = study.budget
    if budget.max_runs is not None and len(history.runs) >= budget.max_runs:
        return Done("budget", f"max_runs: {budget.max_runs} runs were started")
    if target_reached(study, history):
        return Done("target", f"target: {study.metrics[0].name} is at least as good as {budget.target:g}")
    return None


def _no_new_trials(study: StudySpec, history: History) -> Done | None:
    """The limits after which only trials in progress go on."""
    limit = study.budget.max_trials
    if limit is not None and history.trial_count >= limit:
        return Done("budget", f"max_trials: {limit} trials were started")
    if points(study.space, history).exhausted:
        return Done("exhausted", f"all {study.space.size()} configs of the space have been tried")
    return None


def _covered(study: StudySpec, history: History, planned: float) -> bool:
    limit = study.budget.max_fidelity
    return limit is None or spent(history).fidelity + planned <= limit * ROUND_OFF


def _no_fidelity(study: StudySpec, history: History) -> Done:
    limit = study.budget.max_fidelity
    return Done("budget", f"max_fidelity: {spent(history).fidelity:g} of {limit:g} spent, the next run needs more")


def _until_open_runs_end(study: StudySpec, history: History) -> Wait | Done:
    """A promotion is not covered; the runs that are still open may yet give a cheaper one."""
    done = _no_fidelity(study, history)
    return Wait("barrier", done.detail) if history.open_count else done
