"""The arrays that models learn from: what is in them, and that they follow the history."""

import numpy as np

from search import Added, Ended, History, Outcome, Run, RunState, Slot
from search.observations import CANCELLED, FAILED, OPEN, STOPPED, SUCCEEDED, Observations, observations
from spaces import Space

SPACE = Space.from_json(
    {
        "parameters": [
            {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
            {"name": "x", "type": "float", "low": 0, "high": 2, "when": {"parameter": "kind", "equals": "a"}},
        ],
        "fidelity": {"name": "epochs", "low": 1, "high": 9},
    }
)


def succeeded(*losses):
    return Outcome(RunState.SUCCEEDED, losses)


def test_rows_are_trials_and_runs():
    history = History()
    history.append(Added(Run(0, 0, {"kind": "a", "x": 1.0}, Slot(fidelity=1))))
    history.append(Added(Run(1, 1, {"kind": "b"}, Slot(fidelity=1))))
    history.append(Ended(0, succeeded(0.5, 2.0)))
    history.append(Added(Run(2, 0, {"kind": "a", "x": 1.0}, Slot(fidelity=3), resume_from=0)))
    observed = observations(SPACE, history)
    np.testing.assert_array_equal(observed.points, [[0.25, 0.5], [0.75, np.nan]])
    assert observed.trial.tolist() == [0, 1, 0]
    assert observed.fidelity.tolist() == [1, 1, 3]
    assert observed.state.tolist() == [SUCCEEDED, OPEN, OPEN]
    np.testing.assert_array_equal(observed.losses, [[0.5, 2], [np.nan] * 2, [np.nan] * 2])
    assert observed.latest.tolist() == [0, 1], "an open promotion leaves the result below it standing"
    history.append(Ended(2, succeeded(0.4, 1.0)))
    assert observations(SPACE, history) is observed
    assert observed.latest.tolist() == [2, 1]
    assert (observed.trial_count, observed.run_count) == (2, 3)


def test_how_runs_end():
    history = History()
    states = [RunState.FAILED, RunState.STOPPED, RunState.CANCELLED]
    for number, state in enumerate(states):
        history.append(Added(Run(number, number, {"kind": "b"}, kind="supernet" if number == 2 else "train")))
        history.append(Ended(number, Outcome(state)))
    observed = observations(SPACE, history)
    assert observed.state.tolist() == [FAILED, STOPPED, CANCELLED]
    assert observed.learnable.tolist() == [True, True, False]
    assert observed.losses.shape == (3, 0), "without a success the metrics are not known"
    assert np.isnan(observed.fidelity).all()


def test_folding_again_gives_the_same_arrays():
    rng, history = np.random.default_rng(0), History()
    kept = observations(SPACE, history)
    for number in range(100):
        history.append(Added(Run(number, number, SPACE.sample(rng), Slot(fidelity=1 + number % 3))))
        if number % 4:
            history.append(Ended(number, succeeded(rng.random())))
        observations(SPACE, history)
    fresh = observations(SPACE, History(history.events))
    assert isinstance(fresh, Observations)
    for name in ("points", "latest", "trial", "fidelity", "state", "learnable", "losses"):
        np.testing.assert_array_equal(getattr(fresh, name), getattr(kept, name))
