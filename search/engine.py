"""What to do next in a study, and whether to end a run: pure functions of its specification and its history.

The scheduler says where the next run belongs, the sampler what it tries, unless people have enqueued a config; and the
engine keeps the budget: it asks for no new trials once the space or the budget has none left, and starts nothing that
the budget does not cover.
"""

from __future__ import annotations

from typing import Any

from search.actions import Done, Evaluate, Fork, Promote, Replicate, Sample, Wait
from search.algorithms import ALGORITHMS
from search.history import ENQUEUED, Added, Enqueued, History, Run
from search.ledger import ROUND_OFF, cost, spent
from search.points import points
from search.replicates import Replicated
from search.results import leaderboard, target_reached
from search.samplers import Sampler
from search.schedulers import Scheduler
from search.spec import StudySpec
from search.stopping import Stop
from search.stopping.table import STOPPING_RULES
from search.streams import Streams
from search.warm_start import WarmStarted, guide
from spaces import Space


def ask(study: StudySpec, history: History) -> Run | Wait | Done:
    """The next run, not yet part of the history; or why there is none.

    `Wait` holds until an open run has ended, `Done` for good (runs may still be open). The same specification and
    events give the same answer in every process.
    """
    if end := _end(study, history):
        return end
    space = _space(study, history)
    scheduler = _scheduler(study, history, space)
    number, trial = len(history.runs), history.trial_count
    streams = Streams(study.seed, trial)
    closed = _no_new_trials(study, history)
    # a fork takes no new point, so a space that has none left stands in nobody's way
    forks = closed is not None and closed.reason == "exhausted" and ALGORITHMS[study.algorithm.name].forks
    action = scheduler.next(history, new_trials=closed is None or forks, streams=streams)
    if isinstance(action, Sample | Evaluate | Fork):
        resumed = action.run if isinstance(action, Fork) else None
        if not _covered(study, history, cost(history, action.slot.fidelity, resumed)):
            closed = _no_fidelity(study, history)
            action = scheduler.next(history, new_trials=False, streams=streams)
    if isinstance(action, Sample) and history.waiting:
        action = _wished(action, history.waiting[0])
    if isinstance(action, Sample):
        drawn = _sampler(study, space).sample(action, history, streams)
        if not isinstance(drawn, Done):
            config, origin = drawn
            return Run(number, trial, config, action.slot, origin=origin)
        closed = drawn
        action = scheduler.next(history, new_trials=False, streams=streams)

    match action:
        case Sample():
            raise AssertionError("a scheduler that may not start trials starts none")
        case Evaluate(slot, config, kind, origin):
            return Run(number, trial, config, slot, kind, origin)
        case Fork(slot, donor, config, origin):
            return Run(number, trial, config, slot, history.runs[donor].kind, origin, donor)
        case Replicate(slot, repeated, origin):
            first = history.runs[repeated]
            return Run(number, first.trial, first.config, slot, first.kind, origin)
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


def should_stop(study: StudySpec, history: History, run: int) -> Stop | None:
    """Whether an open run is to end now, by the study's stopping rule; to be asked after each of its reports.

    The history has that report. Never when the run has come to its fidelity: it then ends by itself, with a result. And
    no replicate for the sake of other trials: it was ordered to know its own trial better.
    """
    spec, curve = study.algorithm.stop, history.curve(run)
    if spec is None or not curve or history.runs[run].kind != "train":
        return None
    fidelity = history.runs[run].fidelity
    if fidelity is not None and curve[-1].step >= fidelity:
        return None
    if history.runs[run].slot.replicate and STOPPING_RULES[spec.rule].compares:
        return None
    rule = STOPPING_RULES[spec.rule].make(spec.options, study.space, study.metrics[0].sign)
    return rule.check(history, run)


def _wished(request: Sample, wish: Enqueued) -> Evaluate:
    """The enqueued config in the place of what the sampler would have suggested."""
    origin: dict[str, Any] = {"rule": ENQUEUED, "number": wish.number}
    if request.parents:
        origin["parents"] = list(request.parents)
    return Evaluate(request.slot, wish.config, origin=origin)


def _space(study: StudySpec, history: History) -> Space:
    """The space as the algorithm sees it: with priors from other studies, if it uses any."""
    if study.warm_start and ALGORITHMS[study.algorithm.name].uses_prior:
        return guide(study.space, study.warm_start, history).space
    return study.space


def _scheduler(study: StudySpec, history: History, space: Space) -> Scheduler:
    row, limit = ALGORITHMS[study.algorithm.name], study.budget.max_fidelity
    scheduler = row.scheduler_within(space, study.algorithm.options, None if limit is None else limit * ROUND_OFF)
    if study.replicates is None:
        return scheduler
    fidelity = space.fidelity.high if space.fidelity else None
    board, budget = leaderboard(study, history), study.budget
    return Replicated(scheduler, study.replicates, board, fidelity, budget.max_runs, budget.max_fidelity)


def _sampler(study: StudySpec, space: Space) -> Sampler:
    sampler = ALGORITHMS[study.algorithm.name].sampler(space, study.algorithm.options)
    if not study.warm_start:
        return sampler
    return WarmStarted(sampler, study.space, study.warm_start, study.budget.full_runs(space))


def _end(study: StudySpec, history: History) -> Done | None:
    """The limits after which nothing at all is started."""
    budget = study.budget
    if budget.max_runs is not None and spent(history).runs >= budget.max_runs:
        return Done("budget", f"max_runs: {budget.max_runs} runs were started")
    if target_reached(study, history):
        return Done("target", f"target: {study.metrics[0].name} is at least as good as {budget.target:g}")
    return None


def _no_new_trials(study: StudySpec, history: History) -> Done | None:
    """The limits after which only trials in progress go on. An enqueued config may repeat one, so it needs no space."""
    limit = study.budget.max_trials
    if limit is not None and spent(history).trials >= limit:
        return Done("budget", f"max_trials: {limit} trials were started")
    if not history.waiting and points(study.space, history).exhausted:
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
