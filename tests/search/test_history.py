import pytest

from search import StudySpec
from search.history import (
    MOST_VIEWS,
    Added,
    Ended,
    Enqueued,
    History,
    Invalidated,
    Outcome,
    Reported,
    Run,
    RunState,
    Slot,
)
from search.simulation import simulate


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


@pytest.mark.parametrize(
    "event", [added(1, 0), added(0, 1), Ended(0, Outcome(RunState.FAILED)), Enqueued(1, {}), Invalidated(0)]
)
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


def test_reports_make_a_curve():
    history = History([added(0, 0), added(1, 1), Reported(0, 1, (3.0,)), Reported(1, 1), Reported(0, 2, (2.0,))])
    assert [(report.step, report.loss) for report in history.curve(0)] == [(1, 3.0), (2, 2.0)]
    assert [report.loss for report in history.curve(1)] == [float("inf")]
    assert list(History(history.events).curve(0)) == list(history.curve(0))


def test_a_step_is_reported_once_and_not_after_the_end():
    history = History([added(0, 0), Reported(0, 2, (2.0,))])
    for step in (1, 2):
        history.append(Reported(0, step, (9.0,)))
    history.append(Ended(0, Outcome(RunState.FAILED)))
    history.append(Reported(0, 3, (9.0,)))
    assert list(history.curve(0)) == [Reported(0, 2, (2.0,))]
    assert len(history.events) == 3


def test_a_report_of_a_run_that_nobody_added_is_refused():
    with pytest.raises(AssertionError):
        History([Reported(0, 1)])


def test_views_do_not_see_reports():
    history = History([added(0, 0), Reported(0, 1)])
    view = history.view("count", Count)
    history.append(Reported(0, 2))
    history.append(Ended(0, Outcome(RunState.FAILED)))
    assert history.view("count", Count).seen == [added(0, 0), Ended(0, Outcome(RunState.FAILED))]
    assert view.seen == [event for event in history.events if not isinstance(event, Reported)]


def test_the_views_last_asked_for_are_kept_and_others_folded_again():
    history = History([added(0, 0)])
    kept, dropped = history.view("kept", Count), history.view("dropped", Count)
    for key in range(2 * MOST_VIEWS):
        history.view(key, Count)
        assert history.view("kept", Count) is kept
    history.append(Ended(0, Outcome(RunState.FAILED)))
    again = history.view("dropped", Count)
    assert again is not dropped
    assert again.seen == list(history.events) == history.view("kept", Count).seen


TOLD = {"rule": "told"}


def test_schedules_see_neither_replicates_nor_what_was_told_but_invalidations():
    history = History([added(0, 0), added(1, 0, slot=Slot(replicate=1)), added(2, 1, origin=TOLD)])
    success, cancelled = Outcome(RunState.SUCCEEDED, (1.0,)), Outcome(RunState.CANCELLED)
    for run in (0, 2):
        history.append(Ended(run, success))
    trials = history.view("trials", Count)
    assert [event.run for event in trials.seen[2:]] == [0, 2]
    schedule = history.view("schedule", Count, sees="schedule")
    assert schedule.seen == [added(0, 0), Ended(0, success)]

    for event in (Invalidated(0), Ended(1, success)):
        history.append(event)
    assert history.view("schedule", Count, sees="schedule") is schedule
    assert schedule.seen[2:] == [Invalidated(0)]
    assert history.view("trials", Count).seen == [
        added(0, 0), added(2, 1, origin=TOLD), Ended(0, cancelled), Ended(2, success),
    ]  # fmt: skip
    assert history.view("all", Count, sees="replicates").seen[-1] == Ended(1, cancelled)
    again = History(history.events)
    assert again.view("schedule", Count, sees="schedule").seen == schedule.seen
    assert again.view("trials", Count).seen == history.view("trials", Count).seen


def test_the_curve_of_an_invalidated_trial_is_kept_but_does_not_count():
    history = History([added(0, 0), Reported(0, 1, (3.0,)), Invalidated(0)])
    history.append(Reported(0, 1, (9.0,)))
    history.append(Reported(0, 2, (2.0,)))
    assert list(history.curve(0)) == []
    assert [event for event in history.events if isinstance(event, Reported)] == [
        Reported(0, 1, (3.0,)), Reported(0, 2, (2.0,)),
    ]  # fmt: skip


LEARNED = [{"config": {"x": place / 8}, "loss": place} for place in range(8)]


@pytest.mark.parametrize(
    "algorithm", ["grid", "sobol", "tpe", "evolution", "hyperband", "bohb", "asha", "dehb", "pbt", "priorband"]
)
def test_a_search_whose_views_are_dropped_at_once_is_the_same_search(algorithm, monkeypatch):
    study = StudySpec.from_json(
        {
            "space": {
                "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1, "prior": {"mode": 0.4}}],
                "fidelity": {"name": "epochs", "low": 1, "high": 9},
            },
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "algorithm": {"name": algorithm},
            "warm_start": [{"study": "before", "configs": LEARNED}],
            "budget": {"max_runs": 40},
        }
    )

    def played():
        return simulate(
            study, lambda run: Outcome(RunState.SUCCEEDED, (run.config["x"] + 1 / run.fidelity,)), workers=3
        )

    kept = played()
    monkeypatch.setattr("search.history.MOST_VIEWS", 1)
    assert played().history.events == kept.history.events
