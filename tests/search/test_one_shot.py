"""One supernet run, then the best of what it ranks; and whether the ranking can be trusted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search import ALGORITHMS, Done, Ended, History, Outcome, RunState, StudySpec, Wait, ask
from search.by_hand import enqueue
from search.found import found
from search.history import Added, Found, Run
from search.results import Invalid
from search.schedulers.one_shot import best_first, chosen
from search.simulation import simulate
from search.top_hits import chances, taken, top_hit
from search.trust import kendalls, spearmans, trust
from spaces import InvalidInput
from spaces.architectures.nas_bench_201 import NasBench201

CELL = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
LR = {"name": "lr", "type": "float", "low": 1e-4, "high": 0.1, "log": True, "default": 0.01}
ACCURACY = [{"name": "val_accuracy", "direction": "maximize"}]
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
ONE_SHOT = [name for name, row in ALGORITHMS.items() if row.one_shot and row.needs_architecture]


def study(name: str = "darts", *, fidelity: bool = True, metrics: Any = ACCURACY, **given: Any) -> StudySpec:
    space: dict[str, Any] = {"parameters": [CELL, LR]}
    if fidelity:
        space["fidelity"] = {"name": "epochs", "low": 1, "high": 9}
    options = {"retrain": 2, "trusted": 3, **given.pop("options", {})}
    return StudySpec.from_json(
        {"space": space, "metrics": metrics, "algorithm": {"name": name, **options}, "seed": 3, **given}
    )


def ranking(count: int) -> tuple[Found, ...]:
    rng = np.random.default_rng(0)
    edges = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
    return tuple(
        Found({f"cell.{edge}": OPS[int(rng.integers(1, 5))] for edge in edges}, 1 - place / count)
        for place in range(count)
    )


def outcome(run: Run, found_: tuple[Found, ...] = ranking(20), slope: float = 1.0) -> Outcome:
    if run.kind == "supernet":
        return Outcome(RunState.SUCCEEDED, found=found_)
    return Outcome(RunState.SUCCEEDED, (-slope * run.origin.get("score", 0.0),))


@pytest.mark.parametrize("name", ONE_SHOT)
@pytest.mark.parametrize("workers", [1, 4])
def test_the_supernet_comes_first_and_then_the_best_and_some_others(name: str, workers: int) -> None:
    spec = study(name)
    history = simulate(spec, outcome, workers).history
    first, *others = history.runs
    assert (first.kind, first.fidelity, first.config) == ("supernet", 9, spec.space.default())
    assert [run.origin["rank"] for run in others] == [1, 2, 3, 11, 20]
    assert all(run.config == {**first.config, **ranking(20)[run.origin["rank"] - 1].config} for run in others)
    answer = ask(spec, history)
    assert isinstance(answer, Done)
    assert "5 of the configs that it ranked" in answer.detail


def test_nothing_is_started_while_the_supernet_is_trained() -> None:
    spec, history = study(parallelism=4), History()
    run = ask(spec, history)
    assert isinstance(run, Run)
    history.append(Added(run))
    assert isinstance(ask(spec, history), Wait)
    history.append(Ended(0, Outcome(RunState.FAILED, failure="oom")))
    answer = ask(spec, history)
    assert isinstance(answer, Done)
    assert "the supernet, failed" in answer.detail


def test_the_supernet_leads_nothing_and_takes_no_point() -> None:
    spec = study()
    history = simulate(spec, outcome).history
    board = history.runs[1:]
    assert trust(spec, history) is not None
    assert all(run.kind == "train" for run in board)


def test_enqueued_configs_are_tried_without_waiting_for_it() -> None:
    spec, history = study(), History()
    wish = {**spec.space.default(), "cell.0-1": "nor_conv_3x3"}
    history.append(enqueue(spec, history, wish))
    run = ask(spec, history)
    assert isinstance(run, Run)
    assert (run.kind, run.config) == ("train", wish)


def test_the_budget_ends_it_early() -> None:
    played = simulate(study(budget={"max_runs": 3}), outcome)
    assert len(played.history.runs) == 3
    with pytest.raises(InvalidInput, match="must be at least 9"):
        study(budget={"max_fidelity": 8})


@pytest.mark.parametrize(
    ("count", "retrain", "trusted", "places"),
    [
        (20, 2, 3, [0, 1, 2, 10, 19]),
        (3, 5, 5, [0, 1, 2]),
        (4, 2, 5, [0, 1, 2, 3]),
        (1, 1, 1, [0]),
        (9, 3, 0, [0, 1, 2]),
    ],
)
def test_what_is_chosen_of_a_ranking(count: int, retrain: int, trusted: int, places: list[int]) -> None:
    assert list(chosen([False] * count, retrain, trusted)) == places


def test_what_the_search_has_come_to_is_trained_first_wherever_it_stands() -> None:
    assert list(chosen([place == 7 for place in range(20)], 2, 3)) == [7, 0, 1, 2, 10, 19]
    assert list(chosen([place == 1 for place in range(3)], 2, 0)) == [1, 0]
    own = tuple(replace(each, own=place == 6) for place, each in enumerate(ranking(20)))
    spec = study()
    history = simulate(spec, lambda run: outcome(run, own)).history
    assert (history.runs[1].origin["rank"], history.runs[1].origin["own"]) == (7, True)
    assert [run.origin["rank"] for run in history.runs[2:]] == [1, 2, 3, 11, 20]


def test_equal_scores_keep_their_order() -> None:
    same = [Found({"cell.0-1": op}, 0.5) for op in OPS]
    assert best_first(same) == tuple(same)


def test_a_space_without_an_architecture_is_refused_with_advice() -> None:
    with pytest.raises(InvalidInput) as refused:
        StudySpec.from_json({"space": {"parameters": [LR]}, "metrics": ACCURACY, "algorithm": {"name": "darts"}})
    (problem,) = refused.value.problems
    assert problem.path == ("space", "parameters")
    assert '"preset": "nas-bench-201"' in problem.message
    assert '"tpe"' in problem.message


@pytest.mark.parametrize("name", ONE_SHOT)
@pytest.mark.parametrize("preset", ["nasnet", "hierarchical", "chain"])
def test_an_architecture_without_a_supernet_is_refused_by_its_name(name: str, preset: str) -> None:
    space = {"parameters": [{**CELL, "preset": preset}, LR]}
    with pytest.raises(InvalidInput) as refused:
        StudySpec.from_json({"space": space, "metrics": ACCURACY, "algorithm": {"name": name}})
    (problem,) = refused.value.problems
    assert problem.path == ("space", "parameters")
    assert f"{name} needs an architecture that a supernet can hold, such as" in problem.message
    assert f"not of preset {preset} (algorithms that can: " in problem.message


def test_a_recipe_beside_the_architecture_keeps_its_defaults_and_is_told_so() -> None:
    advice = {problem.path: problem.message for problem in study().advice}
    (index,) = (i for i, parameter in enumerate(study().space) if parameter.name == "lr")
    assert "keeps its default" in advice["space", "parameters", index]


@pytest.mark.parametrize(
    ("details", "message"),
    [
        (None, "ends with a ranking"),
        ({"ranking": []}, "ends with a ranking"),
        ({"ranking": [{"score": 1}]}, "ranking[0] is no object with a config"),
        ({"ranking": [{"config": {"cell.0-1": "none"}, "score": float("nan")}]}, "ranking[0] has the score"),
        ({"ranking": [{"config": {"cell.0-1": "sep_conv"}, "score": 1}]}, "ranking[0] is no config of the space"),
    ],
)
def test_details_that_are_no_ranking_are_a_failure(details: Any, message: str) -> None:
    spec = study()
    refused = found(spec, spec.space.default(), details)
    assert isinstance(refused, Invalid)
    assert message in refused.message


def test_details_are_read_with_the_best_first() -> None:
    spec = study()
    read = found(
        spec,
        spec.space.default(),
        {"ranking": [{"config": {"cell.0-1": op}, "score": score} for op, score in zip(OPS, range(5), strict=True)]},
    )
    assert isinstance(read, Outcome)
    assert [each.config["cell.0-1"] for each in read.found] == list(reversed(OPS))


@pytest.mark.parametrize(("slope", "verdict"), [(1.0, "trusted"), (-1.0, "withheld")])
def test_a_ranking_is_trusted_as_far_as_trainings_agree(slope: float, verdict: str) -> None:
    spec = study(options={"retrain": 4, "trusted": 8})
    history = simulate(spec, lambda run: outcome(run, slope=slope)).history
    told = trust(spec, history)
    assert told is not None
    assert told.kendall is not None
    assert told.spearman is not None
    assert told.kendall.value == pytest.approx(slope)
    assert told.spearman.value == pytest.approx(slope)
    assert told.verdict == verdict
    assert [pair.rank for pair in told.pairs] == [run.origin["rank"] for run in history.runs[1:]]


def test_the_oracle_of_two_swapped_ranks() -> None:
    spec = study(options={"retrain": 5, "trusted": 0})
    values = dict(zip(range(1, 6), (1, 3, 2, 4, 5), strict=True))

    def swapped(run: Run) -> Outcome:
        if run.kind == "supernet":
            return Outcome(RunState.SUCCEEDED, found=ranking(5))
        return Outcome(RunState.SUCCEEDED, (float(values[run.origin["rank"]]),))

    told = trust(spec, simulate(spec, swapped).history)
    assert told is not None
    assert told.kendall is not None
    assert told.spearman is not None
    assert told.kendall.value == pytest.approx(0.8)
    assert told.spearman.value == pytest.approx(0.9)
    assert told.kendall.low < 0.8 < told.kendall.high + 1e-12


def test_half_of_the_first_tenth_was_truly_there() -> None:
    """Of twenty, the ranking's first two were the best and the seventh; then everything in its order."""
    spec = study(options={"retrain": 20, "trusted": 0})
    values = dict(zip(range(1, 21), (1, 7, *range(2, 7), *range(8, 21)), strict=True))

    def trained(run: Run) -> Outcome:
        if run.kind == "supernet":
            return Outcome(RunState.SUCCEEDED, found=ranking(20))
        return Outcome(RunState.SUCCEEDED, (float(values[run.origin["rank"]]),))

    told = trust(spec, simulate(spec, trained).history)
    assert told is not None
    assert told.top_hit is not None
    assert (told.top_hit.value, told.top_hit.top) == (0.5, 2)
    assert (told.top_hit.low, told.top_hit.high) == (0, 1)


@pytest.mark.parametrize(("slope", "hit"), [(1.0, 1.0), (-1.0, 0.0)])
@pytest.mark.parametrize(("count", "top"), [(5, 1), (9, 1), (20, 2), (29, 2), (30, 3)])
def test_a_ranking_hits_all_of_the_first_tenth_or_nothing(slope: float, hit: float, count: int, top: int) -> None:
    spec = study(options={"retrain": count, "trusted": 0})
    told = trust(spec, simulate(spec, lambda run: outcome(run, ranking(count), slope)).history)
    assert told is not None
    assert told.top_hit is not None
    assert (told.top_hit.value, told.top_hit.top) == (hit, top)
    if slope > 0:
        assert (told.top_hit.low, told.top_hit.high) == (1, 1), "copies of a pair are no rivals of each other"


def test_a_ranking_that_knows_nothing_hits_by_chance() -> None:
    rng, counts = np.random.default_rng(0), np.ones((1, 30))
    levels = rng.integers(4, size=(2000, 2, 30)).astype(float)  # most are equal to others
    hits = [top_hit(scores, goods, counts, 2.5, rng).value for scores, goods in levels]
    assert np.mean(hits) == pytest.approx(3 / 30, abs=0.005)
    assert top_hit(np.zeros(30), levels[0, 0], counts, 2.5, rng).value == pytest.approx(3 / 30)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.data())
def test_equal_ones_come_first_in_any_order(column: list[int], data: st.DataObject) -> None:
    top = data.draw(st.integers(1, len(column)))
    orders = list(permutations(range(len(column))))
    firsts = Counter(
        place for order in orders for place in sorted(order, key=lambda place: -column[place])[:top]
    )  # sorted keeps the order of equal ones
    wanted = [firsts[place] / len(orders) for place in range(len(column))]
    assert chances(np.array(column, dtype=float), top) == pytest.approx(wanted)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(0, 9))
def test_of_a_resample_so_many_are_taken_and_the_best_ones(column: list[int], seed: int) -> None:
    rng, values = np.random.default_rng(seed), np.array(column, dtype=float)
    draws = rng.integers(len(column), size=(5, len(column)))
    counts = np.stack([np.bincount(draw, minlength=len(column)) for draw in draws]).astype(float)
    top = max(1, len(column) // 2)
    for draw, copies, got in zip(draws, counts, taken(values, counts, top, rng), strict=True):
        assert (got <= copies).all()
        best = sorted(values[draw], reverse=True)[:top]
        assert sorted(np.repeat(values, got.astype(int)), reverse=True) == best
        assert sum(0 < some < all_ for some, all_ in zip(got, copies, strict=True)) <= 1, "copies stay together"


def test_few_trainings_are_told_when_a_study_is_created() -> None:
    def told(**options: int) -> list[tuple[str | int, ...]]:
        row, spec = ALGORITHMS["darts"], study(options=options)
        found = list(row.advise(spec.space, spec.algorithm.options))
        return [problem.path for problem in found if problem.path[0] == "algorithm"]

    defaults = {option.name: option.default for option in ALGORITHMS["darts"].options}
    assert told(retrain=defaults["retrain"], trusted=defaults["trusted"]) == []
    assert told(retrain=5, trusted=14) == [("algorithm", "trusted")]
    assert told(retrain=5, trusted=15, ranked=19) == [("algorithm", "ranked")]


def test_random_scores_are_not_trusted() -> None:
    spec = study(options={"retrain": 100, "trusted": 0})
    rng = np.random.default_rng(1)

    def random(run: Run) -> Outcome:
        if run.kind == "supernet":
            return Outcome(RunState.SUCCEEDED, found=ranking(100))
        return Outcome(RunState.SUCCEEDED, (float(rng.random()),))

    told = trust(spec, simulate(spec, random).history)
    assert told is not None
    assert told.kendall is not None
    assert abs(told.kendall.value) < 0.2
    assert told.verdict == "withheld"


def test_a_good_correlation_that_may_be_chance_is_not_trusted() -> None:
    spec = study(options={"retrain": 5, "trusted": 0})
    values = dict(zip(range(1, 6), (1, 2, 5, 3, 4), strict=True))  # tau 0.6 of five pairs

    def mixed(run: Run) -> Outcome:
        if run.kind == "supernet":
            return Outcome(RunState.SUCCEEDED, found=ranking(5))
        return Outcome(RunState.SUCCEEDED, (float(values[run.origin["rank"]]),))

    told = trust(spec, simulate(spec, mixed).history)
    assert told is not None
    assert told.kendall is not None
    assert told.kendall.value == pytest.approx(0.6)
    assert told.kendall.low < 0
    assert told.verdict == "unknown"


def test_few_pairs_and_equal_ones_say_nothing() -> None:
    few = study(options={"retrain": 2, "trusted": 0})
    told = trust(few, simulate(few, outcome).history)
    assert told is not None
    assert (told.verdict, told.kendall, told.top_hit) == ("unknown", None, None)
    equal = study(options={"retrain": 8, "trusted": 0})
    told = trust(equal, simulate(equal, lambda run: outcome(run, slope=0.0)).history)
    assert told is not None
    assert told.verdict == "unknown"
    assert trust(study("darts"), History()) is None


def test_architecture_parameters_are_recognised() -> None:
    assert isinstance(study().space.parameters[0].default_value, str)
    assert NasBench201.preset == "nas-bench-201"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=5, max_size=12), st.integers(0, 9))
def test_the_correlations_of_samples_are_those_of_scipy(pairs: list[tuple[int, int]], seed: int) -> None:
    columns = np.array(pairs, dtype=float).T
    draw = np.random.default_rng(seed).integers(len(pairs), size=len(pairs))
    counts = np.bincount(draw, minlength=len(pairs))[None].astype(float)
    above, better = (np.sign(column[:, None] - column) for column in columns)
    sample = columns[:, draw]
    constant = any(len(set(column)) == 1 for column in sample)
    for ours, theirs in ((kendalls, stats.kendalltau), (spearmans, stats.spearmanr)):
        (value,) = ours(above, better, counts)
        if constant:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(theirs(*sample).statistic, abs=1e-12)
