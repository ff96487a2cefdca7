"""What a model is given to learn from."""

import numpy as np
import pytest

from search import Added, Ended, History, Outcome, Reported, Run, RunState, Slot
from search.surrogate import standardised, training_data
from spaces import Space

SPACE = Space.from_json({"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]})


def play(*outcomes, fidelity=None):
    """One trial per outcome; an outcome is a loss, a state, or None for a run that is open."""
    history = History()
    for trial, outcome in enumerate(outcomes):
        add(history, trial, outcome, fidelity)
    return history


def add(history, trial, outcome, fidelity=None, resume_from=None):
    number = len(history.runs)
    history.append(Added(Run(number, trial, {"x": trial / 10}, Slot(fidelity=fidelity), resume_from=resume_from)))
    if isinstance(outcome, RunState):
        history.append(Ended(number, Outcome(outcome)))
    elif outcome is not None:
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (outcome,))))


def test_failed_trials_have_the_worst_loss_and_open_ones_none():
    data = training_data(SPACE, play(3.0, RunState.FAILED, 1.0, None, RunState.CANCELLED, 2.0), 3, 100)
    assert data.points[:, 0] == pytest.approx([0, 0.1, 0.2, 0.5])
    assert data.losses.tolist() == [3, 3, 1, 2]
    assert data.pending[:, 0] == pytest.approx([0.3])
    assert (data.successes, data.failed, data.fidelity) == (3, 1, None)


def test_failures_count_but_two_losses_are_needed():
    assert training_data(SPACE, play(1.0, 2.0, RunState.FAILED), 4, 100) is None
    assert training_data(SPACE, play(1.0, 2.0, RunState.FAILED, RunState.FAILED), 4, 100) is not None
    assert training_data(SPACE, play(1.0, *[RunState.FAILED] * 9), 4, 100) is None
    assert training_data(SPACE, History(), 1, 100) is None


def test_the_highest_fidelity_with_enough_results_is_taken():
    history = play(4.0, 5.0, 6.0, fidelity=1)
    add(history, 0, 2.0, fidelity=3, resume_from=0)
    assert training_data(SPACE, history, 3, 100).fidelity == 1
    add(history, 1, 3.0, fidelity=3, resume_from=1)
    add(history, 2, None, fidelity=3, resume_from=2)
    assert training_data(SPACE, history, 3, 100).fidelity == 1
    data = training_data(SPACE, history, 2, 100)
    assert (data.fidelity, data.losses.tolist(), data.pending[:, 0].tolist()) == (3, [2, 3], [0.2])


def test_a_stopped_trial_is_no_better_than_the_median():
    history = play(1.0, 2.0, 3.0)
    for trial, last in ((3, 0.5), (4, 2.5)):
        history.append(Added(Run(trial, trial, {"x": trial / 10})))
        history.append(Reported(trial, 1, (9.0,)))
        history.append(Reported(trial, 2, (last,)))
        history.append(Ended(trial, Outcome(RunState.STOPPED)))
    assert training_data(SPACE, history, 3, 100).losses.tolist() == [1, 2, 3, 2, 2.5]


def test_results_that_break_constraints_are_worse_than_all_others_by_how_much_they_do():
    history = play(1.0, 3.0)
    for number, violation in ((2, 1.0), (3, 0.1)):
        history.append(Added(Run(number, number, {"x": number / 10})))
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (0.0,), violation=violation)))
    losses = training_data(SPACE, history, 2, 100).losses
    assert losses[:2].tolist() == [1, 3]
    assert 3 < losses[3] < losses[2] <= 5


def test_of_many_trials_the_best_and_the_newest_are_kept():
    losses = [float(number) for number in range(100)]
    kept = training_data(SPACE, play(*losses), 5, 20).losses
    assert kept.tolist() == [*range(6), *range(86, 100)]


def test_standardised_losses():
    plain = standardised(np.array([1.0, 2.0, 3.0]))
    assert plain == pytest.approx([-1.224745, 0, 1.224745], abs=1e-6)
    assert standardised(np.full(4, 7.0)).tolist() == [0, 0, 0, 0]
    skewed = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1e6])
    z = standardised(skewed)
    assert (z.mean(), z.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    assert np.ptp(z[:-1]) > 0.05, "the small ones can still be told apart"
    assert (np.diff(z) > 0).all()
    assert standardised(5 * skewed - 3) == pytest.approx(z)
