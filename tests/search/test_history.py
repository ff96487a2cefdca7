import pytest

from search.history import Added, Ended, History, Outcome, Run, RunState


class Count:
    """A view that counts what it is shown."""

    def __init__(self):
        self.seen = []

    def apply(self, event, history):
        self.seen.append(event)


def added(number, trial, **more):
    return Added(Run(number, trial, {"x": trial}, **more))


def test_indexes_follow_the_events():
    history = History([added(0, 0), added(1, 1), Ended(0, Outcome(RunState.SUCCEEDED, (1.0,))), added(2, 0)])
    assert [run.number for run in history.runs] == [0, 1, 2]
    assert (list(history.open), history.open_count, history.trial_count) == ([1, 2], 2, 2)
    assert (list(history.runs_of(0)), list(history.runs_of(1))) == ([0, 2], [1])
    assert history.outcome(0).loss == 1.0
    assert history.outcome(1) is None


def test_the_first_word_on_the_end_of_a_run_stands():
    history = History([added(0, 0), Ended(0, Outcome(RunState.SUCCEEDED, (1.0,)))])
    history.append(Ended(0, Outcome(RunState.FAILED)))
    assert history.outcome(0).state is RunState.SUCCEEDED
    assert len(history.events) == 2


@pytest.mark.parametrize("event", [added(1, 0), added(0, 1), Ended(0, Outcome(RunState.FAILED))])
def test_events_that_skip_a_number_are_refused(event):
    with pytest.raises(AssertionError):
        History([event])


def test_what_did_not_succeed_ranks_last():
    assert Outcome(RunState.FAILED).loss == float("inf")


def test_a_view_is_folded_once_over_each_event():
    history = History([added(0, 0)])
    view = history.view("count", Count)
    history.append(Ended(0, Outcome(RunState.FAILED)))
    history.append(added(1, 1))
    assert history.view("count", Count) is view
    assert view.seen == list(history.events)
