"""PriorBand and DEHB as they are played: the share of uniform draws on each rung, and the published defaults."""

import pytest

from search import ALGORITHMS, Outcome, RunState, StudySpec
from search.simulation import simulate

SPACE = {
    "parameters": [
        {"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
        {"name": "y", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.5}},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 81},
}


def study(algorithm, **budget):
    return StudySpec.from_json(
        {
            "space": SPACE,
            "algorithm": {"name": algorithm},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": budget,
        }
    )


def succeed(run):
    return Outcome(RunState.SUCCEEDED, (abs(run.config["x"] - 0.2) + run.config["y"] + 1 / run.fidelity,))


def test_the_share_of_uniform_draws_is_that_of_the_rung_a_trial_enters_in_any_bracket():
    shares = {0: 0.5, 1: 0.25, 2: 0.1, 3: 0.035714, 4: 0.012195}
    history = simulate(study("priorband", max_trials=250), succeed, workers=4).history
    entered = set()
    for run in history.runs[1:]:
        if run.resume_from is None:
            found = run.origin["probabilities"]
            assert found["uniform"] == pytest.approx(shares[run.slot.rung], abs=1e-6)
            assert sum(found.values()) == pytest.approx(1)
            entered.add((run.slot.bracket, run.slot.rung))
    assert {rung for _, rung in entered} == {0, 1, 2, 3, 4}


def test_the_incumbent_counts_once_the_broadest_bracket_has_been_paid_for():
    """1..81 costs 297 with continuation, the outside trial included; and not before a run of a bracket is at 81."""
    history = simulate(study("priorband", max_trials=200), succeed).history
    highest, full = {}, False
    seen = set()
    for run in history.runs:
        if run.resume_from is None and run.number:
            active = full and sum(highest.values()) >= 297
            assert (run.origin["probabilities"].get("incumbent", 0) > 0) == active
            seen.add(active)
        highest[run.trial] = run.fidelity
        full = full or (run.fidelity == 81 and run.number > 0)
    assert seen == {True, False}


def test_published_defaults():
    def defaults(name):
        return {option.name: option.default for option in ALGORITHMS[name].options}

    dehb = defaults("dehb")
    assert (dehb["mutation_factor"], dehb["crossover"], dehb["eta"], dehb["rounding"]) == (0.5, 0.5, 3, "floor")
    assert defaults("nsga2")["population"] == 50
    assert (defaults("nsga2")["crossover"], defaults("nsga2")["swap"]) == (0.9, 0.5)
    assert (defaults("tpe")["startup"], defaults("tpe")["candidates"]) == (10, 24)
    assert (defaults("tpe")["gamma_factor"], defaults("tpe")["gamma_max"]) == (0.1, 25)
    assert (defaults("hyperband")["rounding"], defaults("hyperband")["max_open_brackets"]) == ("ceil", 4)
    assert defaults("neuroevolution")["elites"] == 0.1
    assert defaults("neuroevolution")["crossover"] == 0.3
    assert defaults("grid")["points"] == 5
