"""The studies of the chaos runs: of each kind one is always open, and what must come out of it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search import Outcome, StudySpec, judge
from search.history import Run as Decision
from search.history import RunState
from search.results import Invalid
from search.simulation import simulate
from tests.chaos.objective import HIGHEST, fate, loss
from workers.objectives import OBJECTIVES
from workers.protocol import Assignment, to_the_end

SPACE: dict[str, Any] = {
    "parameters": [
        {"name": "x0", "type": "float", "low": -5, "high": 10},
        {"name": "x1", "type": "float", "low": 0, "high": 15},
    ]
}
STEPS = {**SPACE, "fidelity": {"name": "steps", "low": 1, "high": HIGHEST}}
HYPERBAND_SIZES = {(0, 0): 9, (0, 1): 3, (0, 2): 1, (1, 1): 5, (1, 2): 1, (2, 2): 3}
"""The runs of one cycle of Hyperband (1..9, eta 3), by bracket and rung."""

EXTERNAL = {"type": "external"}
BRANIN = {"type": "function", "function": "branin", "seconds_per_step": 0.02}
ALWAYS_AGAIN = {"lost": None, "preempted": None, "error": 1000, "backoff_seconds": 0.2}
"""However often its worker is lost, a run is tried again; so that what comes out does not depend on the faults."""


@dataclass(frozen=True)
class Kind:
    """`sizes`: the most runs by bracket and rung. `serial`: one run at a time, so that all of the study is
    what it would have been undisturbed. `rough`: its workers fail as `fate` says."""

    name: str
    study: Mapping[str, Any]
    sizes: Mapping[tuple[int, int], int] | None = None

    @property
    def external(self) -> bool:
        return bool(self.study["objective"]["type"] == "external")

    @property
    def serial(self) -> bool:
        return bool(self.study["parallelism"] == 1)

    @property
    def rough(self) -> bool:
        return "rough" in self.name

    def body(self, name: str, seed: int) -> dict[str, Any]:
        return {
            "name": name,
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "retry": ALWAYS_AGAIN,
            "seed": seed,
            **self.study,
        }

    def metrics(self, config: Mapping[str, Any], fidelity: float | None) -> dict[str, float]:
        """What a run of this config must have come to."""
        if self.external:
            return {"loss": loss(config, HIGHEST if fidelity is None else fidelity)}
        objective = {**self.study["objective"], "seconds_per_step": 0, "failure_rate": 0}
        axis = None if fidelity is None else ("steps", fidelity, HIGHEST)
        training = OBJECTIVES["function"].train(Assignment("", objective, config, 0, axis, None, None))
        _, result = to_the_end(training)
        return dict(result.metrics)

    def undisturbed(self, spec: StudySpec) -> Sequence[Decision]:
        """The runs of a serial study, as nobody disturbed it."""

        def outcome(run: Decision) -> Outcome:
            failure = fate(run.config, 1) if self.rough else None
            if failure in ("infeasible", "diverged"):
                return Outcome(RunState.FAILED, failure=failure)
            verdict = judge(spec, self.metrics(run.config, run.slot.fidelity))
            assert not isinstance(verdict, Invalid)
            return verdict

        return simulate(spec, outcome).history.runs

    def sizes_of(self, runs: Sequence[Any]) -> Counter[tuple[int, int]]:
        return Counter((run.bracket, run.rung) for run in runs)


def _kind(name: str, objective: object, space: object, algorithm: str | dict[str, Any], **more: Any) -> Kind:
    sizes = more.pop("sizes", None)
    algorithm = {"name": algorithm} if isinstance(algorithm, str) else algorithm
    return Kind(name, {"objective": objective, "space": space, "algorithm": algorithm, **more}, sizes)


EXTERNAL_KINDS = (
    _kind(
        "hyperband", EXTERNAL, STEPS, "hyperband",
        budget={"max_runs": 22}, parallelism=4, sizes=HYPERBAND_SIZES,
    ),
    _kind("tpe-rough", EXTERNAL, SPACE, "tpe", budget={"max_trials": 24}, parallelism=3),
    _kind(
        "asha", EXTERNAL, STEPS, {"name": "asha", "stop": {"rule": "threshold", "value": 60, "grace": 2}},
        budget={"max_fidelity": 60}, parallelism=3,
    ),
    _kind(
        "stopping", EXTERNAL, STEPS, {"name": "random", "stop": {"rule": "asha-stop"}},
        budget={"max_runs": 12}, parallelism=3,
    ),
    _kind("bohb-rough-serial", EXTERNAL, STEPS, "bohb", budget={"max_runs": 22}, parallelism=1),
)  # fmt: skip
POOL_KINDS = (
    _kind(
        "pool-hyperband", BRANIN, STEPS, "hyperband",
        budget={"max_runs": 22}, parallelism=3, sizes=HYPERBAND_SIZES,
    ),
    _kind(
        "pool-bohb", {**BRANIN, "failure_rate": 0.1}, STEPS, "bohb",
        budget={"max_fidelity": 60}, parallelism=2, retry={"lost": None, "preempted": None},
    ),
    _kind("pool-serial", BRANIN, STEPS, "hyperband", budget={"max_runs": 22}, parallelism=1),
)  # fmt: skip
