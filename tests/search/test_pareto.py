"""Fronts and hypervolumes, against worked examples and plain definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import pareto, volume

WORKED = [(1, 5), (2, 3), (4, 1), (3, 4), (5, 2), (5, 5)]

results = st.integers(1, 3).flatmap(
    lambda metrics: st.lists(st.tuples(*[st.integers(0, 5)] * metrics), min_size=1, max_size=12)
)


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def test_ranks_of_the_worked_example():
    assert pareto.ranks(WORKED).tolist() == [0, 0, 0, 1, 1, 2]
    assert pareto.front(WORKED).tolist() == [True] * 3 + [False] * 3


def test_crowding_of_the_first_front():
    assert pareto.crowding(WORKED[:3]).tolist() == [np.inf, 2, np.inf]


def test_hypervolumes_of_worked_examples():
    assert pareto.hypervolume(WORKED[:3], (6, 6)) == 17
    assert pareto.hypervolume(WORKED, (6, 6)) == 17, "dominated results add nothing"
    assert pareto.hypervolume([(1, 3), (2, 2), (3, 1)], (4, 4)) == 6
    assert pareto.hypervolume([(7, 1)], (6, 6)) == 0
    assert pareto.hypervolume([(0, 0, 0)], (2, 3, 4)) == 24
    assert pareto.hypervolume([(0, 0, 1), (1, 1, 0)], (2, 2, 2)) == 5


def test_equal_results_are_on_the_same_front():
    assert pareto.ranks([(1, 2), (1, 2), (2, 1), (2, 2)]).tolist() == [0, 0, 0, 1]


def test_failures_are_dominated_by_everything():
    assert pareto.ranks([(9, 9), (np.inf, np.inf), (1, 20), (np.inf, np.inf)]).tolist() == [0, 1, 0, 1]


@given(results)
def test_a_rank_is_one_more_than_that_of_the_best_dominator(losses):
    ranks = pareto.ranks(losses)
    for index, loss in enumerate(losses):
        above = [ranks[other] for other, value in enumerate(losses) if dominates(value, loss)]
        assert ranks[index] == max(above, default=-1) + 1


@given(results, st.integers(1, 12))
def test_ranking_only_as_many_as_needed_agrees_where_it_matters(losses, wanted):
    full, some = pareto.ranks(losses), pareto.ranks(losses, at_least=wanted)
    fronts = some.max()
    assert (some == np.minimum(full, fronts)).all()
    assert (some < fronts).sum() >= min(wanted, len(losses)) or (some == full).all()


@given(results)
def test_hypervolume_counts_the_unit_boxes(losses):
    """With whole numbers, the volume is the number of unit boxes with a dominating corner."""
    metrics = len(losses[0])
    corners = np.stack(np.meshgrid(*[np.arange(6)] * metrics, indexing="ij"), axis=-1).reshape(-1, metrics)
    covered = (corners[:, None, :] >= np.array(losses)[None]).all(axis=2).any(axis=1)
    assert pareto.hypervolume(losses, [6] * metrics) == covered.sum()


@given(results)
def test_contributions_are_what_is_lost(losses):
    beyond = [6] * len(losses[0])
    whole = pareto.hypervolume(losses, beyond)
    for index, contribution in enumerate(pareto.contributions(losses, beyond)):
        assert contribution == whole - pareto.hypervolume(np.delete(losses, index, axis=0), beyond)


@given(results, st.data())
def test_a_subset_is_picked_greedily(losses, data):
    size = data.draw(st.integers(1, len(losses)))
    beyond = [6] * len(losses[0])
    picked = pareto.subset(losses, size, beyond).tolist()
    assert len(set(picked)) == size
    for step in range(size):
        gains = [pareto.hypervolume([losses[i] for i in [*picked[:step], other]], beyond)
                 for other in range(len(losses)) if other not in picked[:step]]  # fmt: skip
        assert pareto.hypervolume([losses[i] for i in picked[: step + 1]], beyond) == max(gains)


@given(results, st.data())
def test_the_best_are_whole_fronts_and_part_of_one(losses, data):
    size = data.draw(st.integers(1, len(losses)))
    ranks, best = pareto.ranks(losses), pareto.best(losses, size)
    assert len(set(best.tolist())) == size
    assert sorted(ranks[best]) == sorted(ranks)[:size]


def test_the_reference_is_a_tenth_beyond_the_worst_finite_result():
    losses = [(1.0, -2.0, 0.0), (2.0, -4.0, -1.0), (np.inf, np.inf, np.inf)]
    assert pareto.reference(losses) == pytest.approx([2.2, -1.8, 1e-12])


@given(results)
def test_fronts_that_grow_are_those_of_a_full_sort(losses):
    fronts = pareto.Fronts()
    for count, loss in enumerate(losses, start=1):
        fronts.add(loss)
        assert fronts.ranks.tolist() == pareto.ranks(losses[:count]).tolist()
    assert fronts.values.tolist() == [list(map(float, loss)) for loss in losses]


def test_many_fronts_that_grow():
    losses = np.random.default_rng(0).integers(0, 12, size=(200, 3))
    fronts = pareto.Fronts()
    for loss in losses:
        fronts.add(tuple(loss))
    assert (fronts.ranks == pareto.ranks(losses)).all()
    assert fronts.ranks.max() > 5


def test_results_that_break_constraints_have_a_place_and_no_volume():
    losses = [(1.0, 9.0), (1.5e300, 1.5e300), (9.0, 1.0), (1.2e300, 1.2e300), (5.0, 5.0)]
    assert pareto.ranks(losses).tolist() == [0, 2, 0, 1, 0]
    assert pareto.reference(losses).tolist() == pytest.approx([9.9, 9.9])
    assert sorted(pareto.best(losses, 4).tolist()) == [0, 2, 3, 4]
    assert pareto.best(losses, 2).tolist() != [1, 3]
    assert pareto.reference(losses[1:2]).tolist() == [1e-12, 1e-12]
    assert (pareto.contributions(losses, (10, 10))[[1, 3]] == 0).all()


def spread(count, metrics, seed=0, bend=1.0):
    """Results that do not dominate each other, on a front that bends."""
    draws = -np.log(np.random.default_rng(seed).random((count, metrics)))
    return (draws / draws.sum(axis=1, keepdims=True)) ** bend


@pytest.mark.parametrize("bend", [0.5, 1, 2])
@pytest.mark.parametrize(("count", "metrics"), [(60, 4), (25, 5), (14, 6)])
def test_the_estimate_of_a_hypervolume_is_close_to_the_exact_one(count, metrics, bend):
    losses = spread(count, metrics, bend=bend)
    limit = pareto.reference(losses)
    exact = volume.volume(losses, limit)
    assert pareto.hypervolume(losses, limit) == pytest.approx(exact)
    assert volume.Lines(losses, limit, pareto.LINES).volume() == pytest.approx(exact, rel=0.005)


def test_many_results_of_many_metrics_have_an_estimate_that_is_always_the_same():
    losses = spread(1500, 5)
    found = pareto.hypervolume(losses, [1.1] * 5)
    some = pareto.hypervolume(losses[:35], [1.1] * 5)
    assert some < found < 1.1**5
    assert found == pareto.hypervolume(losses[::-1], [1.1] * 5)
    volume._sobol.cache_clear()
    assert found == pareto.hypervolume(losses, [1.1] * 5)
    assert pareto.hypervolume([*losses, *(losses[:500] + 0.1)], [1.1] * 5) == found, "dominated results add nothing"


@pytest.mark.parametrize(("count", "metrics"), [(30, 3), (20, 4), (14, 5)])
def test_estimated_contributions_are_close_to_what_is_lost(count, metrics):
    losses = np.concatenate((spread(count, metrics), [[0.9] * metrics], spread(count, metrics)[:1], [[9.0] * metrics]))
    limit = np.full(metrics, 1.1)
    exact = [volume.gains(losses[[row]], np.delete(losses, row, axis=0), limit)[0] for row in range(len(losses))]
    found = pareto.contributions(losses, limit)
    assert found == pytest.approx(np.array(exact), abs=0.15 * max(exact))
    assert (found[[0, -3, -2, -1]] == 0).all(), "repeated, dominated, outside"


@pytest.mark.parametrize(("count", "metrics"), [(80, 3), (40, 4), (30, 5)])
def test_a_subset_by_estimates_covers_about_as_much_as_an_exact_one(count, metrics):
    losses = np.concatenate((spread(count, metrics), spread(count, metrics)[:3]))
    limit = pareto.reference(losses)
    size = 18
    found = volume.Lines(losses, limit, pareto.GAIN_LINES).subset(size).tolist()
    exact: list[int] = []
    for _ in range(size):
        gains = volume.gains(losses, losses[exact], limit)
        gains[exact] = -1
        exact.append(int(gains.argmax()))
    assert len(set(found)) == size
    assert volume.volume(losses[found], limit) > 0.985 * volume.volume(losses[exact], limit)
    everything = volume.Lines(losses, limit, pareto.GAIN_LINES).subset(len(losses))
    assert sorted(everything) == list(range(len(losses)))
    assert everything[:size].tolist() == found


def test_equals_are_picked_by_estimates_in_their_order():
    assert volume.Lines(np.full((5, 3), 0.5), np.ones(3), 64).subset(5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("metrics", [1, 2])
def test_a_front_that_grows_looks_at_few_others(metrics, monkeypatch):
    looks, beaten = [], pareto.Fronts._beaten

    def look(ours, theirs):
        looks.append(len(theirs))
        return beaten(ours, theirs)

    monkeypatch.setattr(pareto.Fronts, "_beaten", staticmethod(look))
    fronts = pareto.Fronts()
    for loss in np.random.default_rng(0).random((1000, metrics)):
        fronts.add(tuple(loss))
    assert (fronts.ranks == pareto.ranks(fronts.values)).all()
    for rank in range(fronts.ranks.max() + 1):
        assert sorted(fronts.front(rank)) == np.flatnonzero(fronts.ranks == rank).tolist()
    assert len(looks) < 1000 * 20, "not every front at each step"
