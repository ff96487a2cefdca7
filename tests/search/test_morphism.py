"""Search by growing networks: what founds it, what children are, where they are drawn, and what it finds."""

import json

import numpy as np
import pytest

from search import (
    Ended,
    History,
    Outcome,
    RunState,
    StudySpec,
    Wait,
    ask,
    ask_many,
    contenders,
    pareto_front,
)
from search.schedulers.morphism import Archive, Morphism, density
from search.simulation import simulate
from search.streams import stream
from spaces import InvalidInput, Space
from spaces.architectures import of_space

CHAIN = {"name": "cell", "type": "cell", "preset": "chain", "stages": 2, "blocks": 3, "widths": [4, 8, 16, 32]}
LR = {"name": "lr", "type": "float", "low": 1e-3, "high": 1, "log": True}
METRICS = [{"name": "loss", "direction": "minimize"}, {"name": "parameters", "direction": "minimize"}]


def study(*parameters, runs=40, seed=0, metrics=METRICS, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters or [CHAIN]},
            "algorithm": {"name": "morphism", **options},
            "metrics": metrics,
            "budget": {"max_runs": runs},
            "seed": seed,
        }
    )


def costs(spec, run):
    return of_space(spec.space).costs(run.config)[0]


def objective(spec, failing=0.0):
    """Larger is better, less and less; a part that hangs on nothing."""

    def run_it(run):
        if stream(1, run.number, "fails").random() < failing:
            return Outcome(RunState.FAILED)
        size = costs(spec, run)
        luck = float(stream(2, run.number, "luck").random())
        losses = (1 / np.log(size) + 0.02 * luck + abs(run.config.get("lr", 0.1) - 0.1) / 10, size)
        return Outcome(RunState.SUCCEEDED, losses[: len(spec.objectives)])

    return run_it


def test_the_smallest_network_founds_it_and_others_are_a_few_morphisms_larger():
    spec = study(runs=12, founders=5)
    history = simulate(spec, objective(spec)).history
    assert [run.origin["rule"] for run in history.runs] == ["founder"] * 5 + ["morphism"] * 7
    assert of_space(spec.space).genotype(history.runs[0].config) == "4:3|4:3"
    assert len({spec.space.key(run.config) for run in history.runs}) == 12
    for run in history.runs[:5]:
        assert "inherits" not in run.origin
        assert costs(spec, run) >= costs(spec, history.runs[0])


@pytest.mark.parametrize("parameters", [(CHAIN,), (CHAIN, LR)])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_child_has_grown_from_one_of_the_front_whose_weights_are_kept(parameters, workers):
    spec, history = study(*parameters, runs=60), History()
    chain, scored = of_space(spec.space), objective(spec, failing=0.2)
    while True:
        runs, answer = ask_many(spec, history, workers - history.open_count)
        for run in runs:
            if run.origin["rule"] == "morphism":
                parent = history.runs[run.origin["inherits"]]
                assert run.origin["inherits"] in pareto_front(spec, history)
                assert {run.origin["inherits"]} <= contenders(spec, history)
                assert run.origin["parents"] == [parent.trial]
                assert 1 <= len(run.origin["morphisms"]) <= 3
                assert costs(spec, run) > costs(spec, parent) or "skip" in "".join(run.origin["morphisms"])
                for before, after in zip(*map(chain.stages_of, (parent.config, run.config)), strict=True):
                    assert after.width >= before.width
                    assert len(after.blocks) >= len(before.blocks)
                    for old, new in zip(before.blocks, after.blocks, strict=False):
                        assert new.kernel >= old.kernel
                        assert new.skip >= old.skip
            assert json.loads(json.dumps(run.origin)) == run.origin
        if not history.open_count:
            assert not isinstance(answer, Wait)
            break
        first = next(iter(history.open))
        history.append(Ended(first, scored(history.runs[first])))
    assert len(history.runs) == 60
    assert sum(run.origin["rule"] == "morphism" for run in history.runs) > 40
    if len(parameters) == 2:
        changed = [
            run.config["lr"] != history.runs[run.origin["inherits"]].config["lr"]
            for run in history.runs
            if "inherits" in run.origin
        ]
        assert 0.3 < np.mean(changed) < 0.7


def test_folding_the_events_again_gives_the_same_answer_at_every_prefix():
    spec = study(CHAIN, LR, runs=14)
    events = simulate(spec, objective(spec, failing=0.2), workers=3).history.events
    kept = History()
    for position, event in enumerate(events):
        assert ask(spec, History(events[:position])) == ask(spec, kept)
        kept.append(event)


def test_what_cannot_grow_any_more_leaves_the_rest_to_chance_and_the_space_is_used_up():
    tiny = {**CHAIN, "stages": 1, "blocks": 2, "widths": [4, 8], "kernels": [3]}
    spec = study(tiny, runs=1000)
    played = simulate(spec, objective(spec), workers=2)
    assert len(played.history.runs) == spec.space.size() == 12
    assert played.end.reason == "exhausted"
    assert {run.origin["rule"] for run in played.history.runs} >= {"founder", "morphism"}


def test_failures_only_mean_further_founders():
    spec = study(runs=15)
    history = simulate(spec, lambda run: Outcome(RunState.FAILED), 2).history
    assert {run.origin["rule"] for run in history.runs} <= {"founder", "uniform"}
    assert len(history.runs) == 15


def test_the_thin_part_of_a_front_has_the_most_children():
    """Eleven networks of about one size and a single large one: half of the children are of that one."""
    space = Space.from_json({"parameters": [{**CHAIN, "stages": 3, "blocks": 4}]})
    at = np.concatenate((np.linspace(5, 5.2, 11), [9.0]))[:, None]
    chances = 1 / density(at, at)
    assert chances[-1] / chances.sum() > 3 / 12
    assert density(at, at) == pytest.approx(density(at[::-1], at)[::-1])
    assert Morphism(space).chain.preset == "chain"


def test_the_archive_is_the_front():
    spec = study(runs=50)
    history = simulate(spec, objective(spec)).history
    assert history.view("morphism", Archive).front(history) == sorted(pareto_front(spec, history))


def test_it_covers_more_than_random_networks_do():
    """The small networks, which chance hardly ever draws, are on its front: after 40 runs."""
    spec = study()
    random = StudySpec.from_json(
        {
            "space": spec.space.to_json(), "algorithm": {"name": "random"}, "metrics": METRICS,
            "budget": {"max_runs": 40},
        }
    )  # fmt: skip
    sizes = []
    for each in (spec, random):
        history = simulate(each, objective(each)).history
        sizes.append(sorted(np.log(costs(each, history.runs[run])) for run in pareto_front(each, history)))
    assert min(sizes[0]) < min(sizes[1]) - 0.5
    assert len(sizes[0]) > 4


def test_one_metric_is_a_climb():
    spec = study(runs=30, metrics=METRICS[:1])
    history = simulate(spec, objective(spec)).history
    children = [run for run in history.runs if "inherits" in run.origin]
    assert all(run.origin["front"] == 1 for run in children)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"name": "cell", "type": "cell", "preset": "darts"}, 'preset "chain", not darts'),
        (LR, 'needs an architecture, such as {"name": "cell", "type": "cell", "preset": "chain"}'),
    ],
)
def test_other_architectures_and_none_are_refused(parameter, message):
    with pytest.raises(InvalidInput) as refused:
        study(parameter)
    (problem,) = refused.value.problems
    assert problem.path == ("space", "parameters")
    assert message in problem.message


def test_its_steps_are_those_of_chains():
    chain = of_space(study().space)
    config = chain.smallest()
    assert [name for name, _ in chain.growths(config)] == [
        "widen 1", "deepen 1", "kernel 1.1", "skip 1.1", "widen 2", "deepen 2", "kernel 2.1", "skip 2.1"
    ]  # fmt: skip
    largest = chain.config_of("32:7s,7s,7s|32:7s,7s,7s")
    assert chain.growths(largest) == []
    deeper = {**config, **dict(chain.growths(config))["deepen 1"]}
    assert chain.genotype(deeper) == "4:3,3|4:3"
    assert chain.costs(config) == (4 * 3 * 9 + 4 * 4 * 9, 4 * 3 * 9 + 4 * 4 * 9 / 4)
