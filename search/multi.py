"""Studies with several objectives: the Pareto front, and how much of the space of losses it covers."""

from __future__ import annotations

from collections.abc import Sequence

from search import pareto
from search.algorithms import ALGORITHMS
from search.history import INHERITS, History
from search.results import leaderboard
from search.spec import StudySpec


def pareto_front(study: StudySpec, history: History) -> list[int]:
    """The run numbers of the results that no other one dominates, ascending by the first loss.

    Of the results at the highest fidelity that has any, averaged over replicates. Results that break constraints are
    dominated by all that keep them. Equal results are all on the front; with a single objective it is the best ones.
    """
    candidates = leaderboard(study, history).candidates
    if not candidates:
        return []
    on_front = pareto.front([candidate.outcome.ranking for candidate in candidates])
    return [candidate.run for candidate, on in zip(candidates, on_front, strict=True) if on]


def contenders(study: StudySpec, history: History, runners_up: int = 0) -> set[int]:
    """The runs that answer "what is best", or may yet: the incumbent, with several objectives the front, with
    replicates the trials that are repeated, so many of the best trials as an ensemble may be made of, and what other
    trials begin with. Their checkpoints are worth keeping; any other's never again."""
    board, runs = leaderboard(study, history), set()
    if board.leader is not None:
        runs.add(board.leader.run)
    if len(study.objectives) > 1:
        runs.update(pareto_front(study, history))
    if study.replicates is not None:
        runs.update(candidate.run for candidate in board.top(study.replicates.top))
    runs.update(candidate.run for candidate in board.top(runners_up))
    return runs | parents(study, history)


def parents(study: StudySpec, history: History) -> set[int]:
    """The runs whose weights others begin with: those that are under way, and what may yet be decided."""
    row, options = ALGORITHMS[study.algorithm.name], study.algorithm.options
    if row.inherits is None or not row.inheriting(options):
        return set()
    firsts = (history.runs[history.runs_of(history.runs[run].trial)[0]] for run in history.open)
    needed = {run.origin[INHERITS] for run in firsts if INHERITS in run.origin}
    return needed | set(row.inherits(study.space, options, history))


def reference_point(study: StudySpec, history: History) -> list[float] | None:
    """A point, in losses, a tenth beyond the worst of all feasible results at the highest fidelity that has any; None
    while there are none. It moves when a worse result comes in: compare hypervolumes to the same one."""
    losses = _feasible(study, history)
    return [float(value) for value in pareto.reference(losses)] if losses else None


def hypervolume(study: StudySpec, history: History, beyond: Sequence[float] | None = None) -> float:
    """The volume of losses that the feasible results dominate, up to the point `beyond` (in losses, one per objective;
    by default the `reference_point` of this history). 0 while there are none."""
    losses = _feasible(study, history)
    return pareto.hypervolume(losses, pareto.reference(losses) if beyond is None else beyond) if losses else 0.0


def _feasible(study: StudySpec, history: History) -> list[tuple[float, ...]]:
    candidates = leaderboard(study, history).candidates
    return [candidate.outcome.losses for candidate in candidates if not candidate.outcome.violation]
