"""How good a search is: the regret on MF-Hartmann6, with the odds of chance kept small by a few seeds."""

import numpy as np
import pytest

from search import StudySpec
from search.ledger import cost
from search.simulation import simulate
from search.testbed import Hartmann


@pytest.fixture
def median_regret():
    """The median over seeds of the regret at the highest fidelity, after as much fidelity as some full runs take."""

    def measure(algorithm, marks, seeds, problem=None, space=None):
        """`marks` count full runs; inf where nothing has reached the highest fidelity. Shape [marks]."""
        problem = problem or Hartmann()
        found = []
        for seed in range(seeds):
            given = {
                "space": space or problem.space, "algorithm": algorithm, "seed": seed,
                "metrics": [{"name": "regret", "direction": "minimize"}],
                "budget": {"max_fidelity": max(marks) * problem.highest},
            }  # fmt: skip
            history = simulate(StudySpec.from_json(given), lambda run, seed=seed: problem.run(run, seed)).history
            spent = np.cumsum([cost(history, run.fidelity, run.resume_from) for run in history.runs])
            full = [run.fidelity == problem.highest for run in history.runs]
            losses = np.where(full, [history.outcome(run.number).loss for run in history.runs], np.inf)
            found.append([losses[spent <= mark * problem.highest + 1e-6].min(initial=np.inf) for mark in marks])
        return np.median(found, axis=0)

    return measure
