"""Multi-objective ASHA: fronts first, spread along the one that is cut, and plain ASHA with one objective."""

from collections import Counter

import numpy as np
import pytest

from search import Ended, History, Outcome, RunState, StudySpec, ask, ask_many
from search.pareto import ranks
from search.schedulers.mo_asha import epsilon_net, spread_order
from search.simulation import simulate
from search.streams import stream

SPACE = {
    "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
    "fidelity": {"name": "epochs", "low": 1, "high": 27},
}
SPREADS = ["epsilon-net", "crowding"]


def study(objectives=2, algorithm="mo-asha", budget=None, **options):
    return StudySpec.from_json(
        {
            "space": SPACE,
            "algorithm": {"name": algorithm, **options},
            "metrics": [{"name": f"m{index}", "direction": "minimize"} for index in range(objectives)],
            "budget": budget or {},
        }
    )


def drawn(objectives, purpose="loss"):
    return lambda run: Outcome(
        RunState.SUCCEEDED, tuple(float(v) for v in stream(0, run.number, purpose).random(objectives))
    )


def decisions(history):
    return [(run.trial, run.slot, run.resume_from) for run in history.runs]


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("spread", SPREADS)
def test_with_one_objective_it_is_asha(workers, spread):
    budget = {"max_trials": 120}
    plain = simulate(study(1, "asha", budget), drawn(1), workers).history
    fronts = simulate(study(1, budget=budget, spread=spread), drawn(1), workers).history
    assert decisions(plain) == decisions(fronts)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("spread", SPREADS)
def test_what_goes_up_is_on_the_first_fronts_of_its_rung(objectives, spread):
    spec, history, results = study(objectives, spread=spread), History(), {}
    promoted = 0
    for _ in range(250):
        run = ask(spec, history)
        if run.resume_from is not None:
            rung = results[history.runs[run.resume_from].slot.rung]
            values = np.array(list(rung.values()))
            front = ranks(values)[list(rung).index(run.resume_from)]
            places = len(rung) // 3
            assert np.count_nonzero(ranks(values) < front) < places, "all better fronts have room, and it too"
            assert run.origin["front"] == front
            promoted += 1
        ask_many(spec, history, 1)
        outcome = drawn(objectives)(run)
        results.setdefault(run.slot.rung, {})[run.number] = outcome.losses
        history.append(Ended(run.number, outcome))
    assert promoted > 50
    counts = Counter(run.slot.rung for run in history.runs)
    assert counts[0] > counts[1] > counts[2] > counts[3] > 0


def test_an_infeasible_trial_goes_up_after_all_feasible_ones():
    spec, history = study(2), History()
    runs, _ = ask_many(spec, history, 9)
    for run in runs:  # three are feasible, and dominated in all losses by those that are not
        infeasible = run.number < 6
        losses = (0.1, 0.1) if infeasible else (1.0 + run.number, 10.0 - run.number)
        violation = 6.0 - run.number if infeasible else 0.0
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, losses, violation=violation)))
    up, _ = ask_many(spec, history, 3)
    assert {run.resume_from for run in up} == {6, 7, 8}


def test_an_epsilon_net_takes_the_farthest_next():
    line = np.array([[0.0, 10.0], [1.0, 9.0], [2.0, 8.0], [5.0, 5.0], [10.0, 0.0]])
    assert epsilon_net(line, 5).tolist() == [0, 4, 3, 2, 1]
    assert epsilon_net(line * [1000, 1], 5).tolist() == [0, 4, 3, 2, 1], "units do not matter"
    same = np.ones((4, 2))
    assert epsilon_net(same, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("spread", SPREADS)
def test_the_ends_of_a_front_come_first(spread):
    front = np.array([[3.0, 2.0], [1.0, 9.0], [2.0, 3.0], [9.0, 1.0]])
    assert set(spread_order(front, 2, spread).tolist()) == {1, 3}
