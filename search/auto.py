"""`auto`: which algorithm fits a study, and why.

`TABLE` says it in words, `choose` does it. `runs` is how many runs at the highest fidelity the budget pays for (unknown
counts as many), `rungs` how often a run can be looked at before its end, by factors of 3: only once where the budget
counts runs of any length and has at most 3 to the power of the rungs, of which hardly one would get to the end.

Where the numbers come from: `benchmarks.regret`. Among the tasks with a fidelity `asha` has the best mean rank up to 12
full runs, `bohb` around 20 and, where no axis has an order, up to 45. What short runs tell is worth most while there
are few full ones, and may mislead in the end: models of full runs alone win then, `gp` from 16 full runs on where most
axes have an order. Without a limit a search must be good at any time, so it is `bohb`.

The choice is made once, when a study is created, and written into it; a later version of the table does not change
studies that exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.schedulers.brackets import ladder
from search.surrogate import FEWEST, initial_trials
from spaces import Parameter, Space

NAME = "auto"
FEW_CONFIGS, LISTED_CONFIGS = 20, 100
MIN_RUNGS = 3
ETA = 3
RUNS_PER_WORKER = 3
"""With no more of them hardly any result comes in time to learn from."""
FEW = 40
EXPENSIVE = 200
MANY = 1000
CREW = 8
"""More workers would wait for suggestions that take seconds, and want many short runs if there are such."""
CROWD = 32
"""So many workers would wait for each other at the rungs of Hyperband."""
STARTS = 16
"""With fewer full runs there is no time to learn from results: it is best to stop early and often."""
SHORT = 50
"""With so many full runs or more, a model of them alone goes further than one of short ones too, in any space."""
MAX_AXES = 20
SLOW = "each suggestion takes a second or several of computing (if runs take less, choose tpe)"

_NO_MODEL = f"at most {RUNS_PER_WORKER} runs for each worker or {FEWEST} in all, or no more than axes and one"

TABLE = (
    (f"at most {FEW_CONFIGS} configs, or at most {LISTED_CONFIGS} and as many runs", "random"),
    (f"fewer than {MIN_RUNGS} rungs, no prior, no conditions, {_NO_MODEL}", "sobol"),
    (f"fewer than {MIN_RUNGS} rungs, no prior, {_NO_MODEL}", "random"),
    (f"fewer than {MIN_RUNGS} rungs, a prior, at most {FEWEST} runs, or no more than axes and one", "tpe"),
    (f"several objectives, {MIN_RUNGS} rungs, fewer than {FEW} runs or more than {CREW} workers", "mo-asha"),
    (f"several objectives, fewer than {MANY} runs", "tpe"),
    ("several objectives", "nsga2"),
    (f"{MIN_RUNGS} rungs, a prior", "priorband"),
    (f"{MIN_RUNGS} rungs, more than {CROWD} workers or fewer than {STARTS} runs", "asha"),
    (f"{MIN_RUNGS} rungs, no limit on runs, or at most {RUNS_PER_WORKER} for each worker", "bohb"),
    (f"fewer than {EXPENSIVE} runs, at most {CREW} workers, a prior", "gp"),
    (f"fewer than {EXPENSIVE} runs, at most {CREW} workers, at most {MAX_AXES} axes, most of them with an order", "gp"),
    (f"{MIN_RUNGS} rungs, fewer than {SHORT} runs", "bohb"),
    ("else", "tpe"),
)
"""What must hold, and what is then chosen: the first line that fits decides."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A name of the table of algorithms, whose options are their defaults, and a sentence for the user."""

    name: str
    because: str


def to_json() -> dict[str, Any]:
    """Its row in the catalogue of algorithms."""
    return {
        "name": NAME,
        "summary": "Chooses by space, budget, fidelity, priors, objectives and parallelism, and says why.",
        "paper": "none: the choice rests on the benchmarks of this project",
        "needs": {"fidelity": False, "prior": False, "architecture": False},
        "serves": {"conditions": True, "several_metrics": True, "parallelism": True},
        "options": [],
        "chooses": [{"condition": condition, "algorithm": name} for condition, name in TABLE],
    }


def choose(
    space: Space,
    objectives: int,
    runs: float | None,
    parallelism: int,
    compared: bool = False,
    count: int | None = None,
) -> Choice:
    """The algorithm for a study; `runs` is None without a limit. `compared`: a stopping rule compares the runs with
    each other already, so an algorithm must not. `count`: the budget allows no more runs, however short."""
    size, rungs = space.size(), 1 if compared else _rungs(space)
    counted = rungs >= MIN_RUNGS and count is not None and count <= ETA**rungs
    if counted:
        rungs = 1
    searched = [parameter for parameter in space if parameter.domain.count != 1]
    conditional = any(parameter.when is not None for parameter in searched)
    budget = "without a limit on runs" if runs is None else f"for {runs:.3g} full runs"
    enough = float("inf") if runs is None else runs
    slow = enough < EXPENSIVE and parallelism <= CREW  # whether a slow model is worth the wait
    smooth = slow and len(searched) <= MAX_AXES and _mostly_numbers(searched)

    if size is not None and (size <= FEW_CONFIGS or size <= min(enough, LISTED_CONFIGS)):
        return Choice("random", f"the space has only {size} configs: they are tried one by one")
    few = initial_trials(len(space))  # with no more of them `gp` would not get to its model
    if rungs < MIN_RUNGS and not space.has_prior and enough <= max(RUNS_PER_WORKER * parallelism, few):
        because = f"{parallelism} at once {budget}: hardly any result comes in time to learn from"
        return Choice("random" if conditional else "sobol", because)
    if rungs < MIN_RUNGS and space.has_prior and enough <= few:
        because = f"{budget} there is little to learn from: what is expected is tried first, then what is near to it"
        return Choice("tpe", because)
    if objectives > 1:
        return _of_several(objectives, rungs, enough, parallelism, budget)
    if rungs >= MIN_RUNGS:
        levels = f"runs can be compared at {rungs} fidelities before they are trained to the end"
        if space.has_prior:
            return Choice("priorband", f"{levels}, and the space says where good values are expected")
        if parallelism > CROWD:
            return Choice("asha", f"{levels}, and {parallelism} runs at once are too many to wait for each other")
        if enough < STARTS:
            return Choice("asha", f"{levels}, and {budget} it pays to start many and stop most")
        late = runs is None or runs <= RUNS_PER_WORKER * parallelism
        if late or (enough < SHORT and not smooth):
            return Choice("bohb", f"{levels}, and {budget} results at each of them are worth learning from")
    if rungs >= MIN_RUNGS:
        reason = "there is time to train many configs to the end"
    elif counted:
        reason = f"of only {count} runs hardly one would be trained on to the end, had it to be among the best before"
    elif compared:
        reason = "a stopping rule ends runs early"
    elif space.fidelity is None:
        reason = "there is no fidelity"
    else:
        reason = "the fidelities are too close to compare runs early"
    if slow and space.has_prior:
        because = f"{reason}, and {budget} a model that starts from what is expected makes the most of each"
        return Choice("gp", f"{because}; {SLOW}")
    if smooth:
        because = f"{reason}, and {budget} on {len(searched)} axes a smooth model makes the most of each"
        return Choice("gp", f"{because}; {SLOW}")
    return Choice("tpe", f"{reason}, and {budget} on {len(searched)} axes a model that is quick to ask goes furthest")


def _of_several(objectives: int, rungs: int, runs: float, parallelism: int, budget: str) -> Choice:
    reason = f"there are {objectives} objectives"
    if rungs >= MIN_RUNGS and (runs < FEW or parallelism > CREW):
        levels = f"runs can be compared at {rungs} fidelities"
        return Choice("mo-asha", f"{reason}, {levels}, and {budget} most must stop early")
    if runs < MANY:
        return Choice("tpe", f"{reason}, and {budget} a model of the front goes further than a population")
    return Choice("nsga2", f"{reason}, and {budget} a population has time to spread along the front")


def _rungs(space: Space) -> int:
    if space.fidelity is None:
        return 1
    return len(ladder(space.fidelity.low, space.fidelity.high, ETA, space.fidelity.type == "int"))


def _mostly_numbers(searched: Sequence[Parameter]) -> bool:
    """Whether most axes have an order, so that a smooth model has something to be smooth along."""
    return 2 * sum(parameter.domain.ordered for parameter in searched) > len(searched)
