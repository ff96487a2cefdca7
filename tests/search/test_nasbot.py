"""The Gaussian process on architectures: what it predicts, what it refuses, and that it finds good cells."""

import json

import numpy as np
import pytest

from search import Ended, History, Outcome, RunState, StudySpec, ask, ask_many, best
from search.samplers.nasbot import Comparer, Process
from search.simulation import simulate
from search.streams import stream
from search.surrogate import Data
from spaces import InvalidInput, Space
from spaces.architectures import of_space

CELL = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
LR = {"name": "lr", "type": "float", "low": 1e-4, "high": 0.1, "log": True}
KIND = {"name": "kind", "type": "categorical", "choices": ["sgd", "adamw"]}
SMALL = {"initial": 4, "candidates": 24}

both = pytest.mark.parametrize("distance", ["transport", "paths"])


def study(*parameters, runs=20, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters or [CELL]},
            "algorithm": {"name": "nasbot", **SMALL, **options},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "budget": {"max_runs": runs},
            "seed": seed,
        }
    )


def worth(config):
    """A sum over the edges, each op with a worth of its own there."""
    ops = ((name, value) for name, value in config.items() if name.startswith("cell."))
    return -sum(float(stream(3, 0, f"{name}{value}").normal()) for name, value in ops)


def outcome(run):
    return Outcome(RunState.SUCCEEDED, (worth(run.config) + 10 * run.config.get("lr", 0),))


def erratic(run):
    return outcome(run) if stream(5, run.number, "").random() < 0.7 else Outcome(RunState.FAILED)


@both
@pytest.mark.parametrize(
    "parameters",
    [
        (CELL, LR, KIND),
        ({**CELL, "preset": "darts", "nodes": 2},),
        ({**CELL, "preset": "hierarchical", "nodes": 3, "motifs": 2},),
        ({**CELL, "preset": "chain", "stages": 2, "blocks": 2},),
        ({**CELL, "preset": "nasnet", "nodes": 2, "ops": ["conv_3x3", "max_pool_3x3"]}, LR),
    ],
)
def test_any_architecture_with_any_recipe_and_failures(distance, parameters):
    spec = study(*parameters, runs=12, distance=distance)
    history = simulate(spec, erratic, workers=3).history
    for run in history.runs:
        spec.space.validate(run.config)
        assert json.loads(json.dumps(run.origin)) == run.origin
    assert {run.origin["rule"] for run in history.runs} == {"uniform", "model"}
    assert len({spec.space.key(run.config) for run in history.runs}) == 12


@both
def test_folding_the_events_again_gives_the_same_answer_at_every_prefix(distance):
    spec = study(CELL, LR, runs=10, distance=distance)
    events = simulate(spec, erratic, workers=3).history.events
    kept = History()
    for position, event in enumerate(events):
        assert ask(spec, History(events[:position])) == ask(spec, kept)
        kept.append(event)


def test_a_finite_space_is_used_up():
    cell = {**CELL, "nodes": 3, "ops": ["nor_conv_3x3", "skip_connect"]}
    played = simulate(study(cell, runs=100), outcome, workers=2)
    assert len(played.history.runs) == 8
    assert played.end.reason == "exhausted"


def test_pending_configs_are_kept_off():
    spec, history = study(runs=60), History()
    runs, _ = ask_many(spec, history, 8)
    for run in runs:
        history.append(Ended(run.number, outcome(run)))
    more, _ = ask_many(spec, history, 4)
    assert [run.origin["pending"] for run in more] == [0, 1, 2, 3]
    assert len({spec.space.key(run.config) for run in more}) == 4


@both
def test_it_predicts_what_it_has_seen_and_is_unsure_of_the_rest(distance):
    """Of cells whose loss is how many convolutions they have on the way to the output."""
    space = Space.from_json({"parameters": [CELL]})
    configs = [space.sample(stream(0, number, "")) for number in range(80)]
    graphs = [of_space(space).graphs(config)[0] for config in configs]
    losses = np.array([-float(sum("conv" in edge.op for edge in graph.edges)) for graph in graphs])
    points = np.array([space.encode(config) for config in configs])
    data = Data(points[:40], losses[:40], points[40:42], 40, 0, None)
    process = Process.fitted(Comparer(space, distance), data)
    seen, sure = process.predicted(configs[:40])
    assert np.corrcoef(seen, -losses[:40])[0, 1] > 0.8
    expected, unsure = process.predicted(configs[40:])
    assert np.corrcoef(expected, -losses[40:])[0, 1] > 0.5
    assert unsure.mean() > sure.mean()
    fantasised = process.given(data.pending)
    _, then = fantasised.predicted(configs[40:42])
    assert (then < unsure[:2]).all(), "what is pending is less worth a look"


@both
def test_it_finds_better_cells_than_random_search(distance):
    """After 40 runs; the best possible loss is the sum of the best ops."""

    def found(name, **options):
        losses = []
        for seed in range(3):
            given = study(runs=40, seed=seed)
            spec = StudySpec.from_json(
                {
                    "space": given.space.to_json(), "seed": seed, "budget": {"max_runs": 40},
                    "algorithm": {"name": name, **options},
                    "metrics": [{"name": "loss", "direction": "minimize"}],
                }
            )  # fmt: skip
            history = simulate(spec, outcome).history
            losses.append(history.outcome(best(spec, history)).loss)
        return np.median(losses)

    space = Space.from_json({"parameters": [CELL]})
    edges = [parameter for parameter in space if parameter.domain.count != 1]
    least = sum(min(worth({each.name: op}) for op in each.domain.values) for each in edges)
    nasbot = found("nasbot", initial=8, candidates=60, distance=distance)
    assert nasbot - least < (found("random") - least) / 2


def test_a_space_without_an_architecture_is_refused_with_advice():
    with pytest.raises(InvalidInput) as refused:
        study(LR)
    (problem,) = refused.value.problems
    assert problem.path == ("space", "parameters")
    assert "needs an architecture, such as" in problem.message
    assert "evolution" in problem.message
