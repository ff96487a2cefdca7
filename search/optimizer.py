"""The engine in one process: ask and tell, for notebooks, benchmarks and tests.

    opt = Optimizer(space={...}, algorithm={"name": "random"}, metrics=[{"name": "loss", "direction": "minimize"}])
    while run := opt.ask():
        opt.tell(run, {"loss": objective(run.config)})
    print(opt.best())

The dictionaries are those of a study on the wire.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.actions import Done
from search.by_hand import enqueue, invalidate, told
from search.engine import ask
from search.history import Added, Config, Ended, History, Outcome, Run, RunState
from search.multi import pareto_front
from search.replication import replicates_of
from search.results import Invalid, best, confirmed, judge, judged, metrics_of
from search.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Best:
    """The incumbent, or one of a front. `metrics` are in their own direction, as they were told; the means, if the
    trial was repeated. `feasible`: it keeps all constraints. `confirmed`: it has all the replicates that the study
    wants."""

    config: Config
    metrics: Mapping[str, float]
    fidelity: float | int | None
    trial: int
    run: int
    feasible: bool = True
    confirmed: bool = True
    replicates: int = 0


class Optimizer:
    """Asks and tells one study. Several runs may be open at once and may be told in any order. Not thread-safe.

    Raises InvalidInput (a ValueError) with all problems of the study. `study` and `history` may be read at any time.
    """

    def __init__(
        self,
        space: Mapping[str, Any],
        metrics: Sequence[Mapping[str, Any]],
        algorithm: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
        seed: int = 0,
        *,
        replicates: Mapping[str, Any] | None = None,
        warm_start: Sequence[Mapping[str, Any]] | None = None,
        parallelism: int = 1,
    ) -> None:
        study = {
            "space": space,
            "algorithm": algorithm,
            "metrics": metrics,
            "budget": budget,
            "seed": seed,
            "replicates": replicates,
            "warm_start": warm_start,
            "parallelism": parallelism,
        }
        self.study = StudySpec.from_json(study)
        self.history = History()
        self.reason: str | None = None
        self.done = False
        for advice in self.study.advice:
            if advice.path == ("budget",):  # whoever asks decides when to end
                continue
            warnings.warn(str(advice), stacklevel=2)

    def ask(self) -> Run | None:
        """The next run, from now on open.

        None when there is none: `reason` then says why, and `done` whether for good or until a run has been told.
        """
        answer = ask(self.study, self.history)
        if isinstance(answer, Run):
            self.history.append(Added(answer))
            self.reason, self.done = None, False
            return answer
        self.reason, self.done = f"{answer.reason}: {answer.detail}", isinstance(answer, Done)
        return None

    def tell(self, run: Run | int, metrics: Mapping[str, object]) -> Outcome:
        """Ends a run with what it reported; keys that are no metric of the study are ignored.

        A metric that is not finite makes the run failed (`diverged`). So does one that is missing or no number
        (`error`), with a warning, since that is rather a mistake in the caller's code. Raises ValueError for a run
        that was never asked for or has ended.
        """
        number = self._open(run)
        verdict = judge(self.study, metrics)
        outcome = verdict.outcome if isinstance(verdict, Invalid) else verdict
        self.history.append(Ended(number, outcome))
        if isinstance(verdict, Invalid) and verdict.failure == "error":
            warnings.warn(f"run {number} failed: {verdict.message}", stacklevel=2)
        return outcome

    def fail(self, run: Run | int, failure: str = "error") -> Outcome:
        """Ends a run as failed, with a class such as error, oom or timeout. Raises ValueError as `tell` does."""
        outcome = Outcome(RunState.FAILED, failure=failure)
        self.history.append(Ended(self._open(run), outcome))
        return outcome

    def enqueue(self, config: Mapping[str, object]) -> None:
        """Has a config tried, before the algorithm's own. Raises InvalidInput unless it is one of the space."""
        self.history.append(enqueue(self.study, self.history, config))

    def add(
        self,
        config: Mapping[str, object],
        metrics: Mapping[str, object] | None = None,
        fidelity: float | None = None,
        *,
        failure: str | None = None,
    ) -> Run:
        """Adds a trial that was carried out elsewhere, with its metrics or its failure; see `search.told`.

        It counts for what is best and for what the search learns, not for the budget. Raises InvalidInput.
        """
        run, outcome = told(self.study, self.history, config, metrics, fidelity, failure=failure)
        self.history.append(Added(run))
        self.history.append(Ended(run.number, outcome))
        return run

    def invalidate(self, trial: int) -> None:
        """From now on the results of a trial count for nothing; its config is not suggested again. Raises
        InvalidInput when there is no such trial."""
        self.history.append(invalidate(self.history, trial))

    def best(self) -> Best | None:
        """The best run at the highest fidelity that has results, None while no run has succeeded."""
        number = best(self.study, self.history)
        return None if number is None else self._described(number)

    def front(self) -> list[Best]:
        """The runs of the Pareto front, the best by the first metric first; with one objective, all that are best."""
        return [self._described(number) for number in pareto_front(self.study, self.history)]

    def _described(self, number: int) -> Best:
        run, outcome = self.history.runs[number], judged(self.study, self.history, number)
        return Best(
            run.config,
            metrics_of(self.study, outcome),
            run.fidelity,
            run.trial,
            number,
            not outcome.violation,
            confirmed(self.study, self.history, number),
            replicates_of(self.history, number),
        )

    def _open(self, run: Run | int) -> int:
        number = run.number if isinstance(run, Run) else run
        if not 0 <= number < len(self.history.runs):
            raise ValueError(f"run {number} was never asked for; {len(self.history.runs)} runs were")
        if self.history.outcome(number) is not None:
            raise ValueError(f"run {number} has ended already")
        return number
