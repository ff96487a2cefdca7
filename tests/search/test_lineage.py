"""The schedule that led to a run."""

import json

from search import Added, History, Run, Slot, schedule


def history(*runs):
    """Runs of (trial, config, fidelity, resume_from)."""
    return History(
        Added(Run(number, trial, config, Slot(0, 0, fidelity), resume_from=resumed))
        for number, (trial, config, fidelity, resumed) in enumerate(runs)
    )


def test_a_trial_of_its_own_is_one_segment():
    past = history((0, {"x": 1}, 3, None), (0, {"x": 1}, 9, 0))
    (segment,) = schedule(past, 1)
    assert (segment.begin, segment.end, segment.config, segment.trial, segment.run) == (0, 9, {"x": 1}, 0, 1)
    assert [each.end for each in schedule(past, 0)] == [3]


def test_without_a_fidelity_there_is_no_end():
    assert [(each.begin, each.end) for each in schedule(history((0, {}, None, None)), 0)] == [(0, None)]


def test_forks_are_followed_to_the_first_weights():
    past = history(
        (0, {"x": 1}, 3, None),
        (1, {"x": 2}, 3, None),
        (0, {"x": 1}, 6, 0),
        (2, {"x": 3}, 6, 0),  # in the place of trial 1
        (2, {"x": 3}, 9, 3),
        (3, {"x": 4}, 12, 4),
        (0, {"x": 1}, 9, 2),
    )
    segments = schedule(past, 5)
    assert [(each.begin, each.end, each.config["x"], each.trial, each.run) for each in segments] == [
        (0, 3, 1, 0, 0),
        (3, 9, 3, 2, 4),
        (9, 12, 4, 3, 5),
    ]
    assert [(each.begin, each.end) for each in schedule(past, 6)] == [(0, 9)]
    written = [each.to_json() for each in segments]
    assert json.loads(json.dumps(written)) == written
    assert written[1] == {"begin": 3, "end": 9, "config": {"x": 3}, "trial": 2, "run": 4}
    assert [past.forked(trial) for trial in range(4)] == [False, False, True, True]
