"""How methods are written, and what an algorithm of ours does on a task."""

import pytest

from benchmarks.methods import OwnSession, parse
from benchmarks.protocol import play
from benchmarks.tasks import Missing, load
from benchmarks.tasks.priors import extremes, with_prior
from spaces import Space


def test_a_method_is_a_name_with_options_and_a_prior():
    method = parse("hyperband:eta=4,rounding=floor@good")
    assert (method.name, method.options, method.prior) == ("hyperband", {"eta": 4, "rounding": "floor"}, "good")
    assert not method.peer
    peer = parse("peer/optuna-tpe:n_startup_trials=5")
    assert (peer.name, peer.options, peer.prior) == ("optuna-tpe", {"n_startup_trials": 5}, None)
    assert peer.peer


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("randm", r'did you mean "random"\?'),
        ("peer/optuna", 'unknown method "peer/optuna"'),
        ("hyperband:eta", "write options as name=value, got 'eta'"),
        ("random@great", 'unknown quality of a prior "great"'),
    ],
)
def test_what_is_wrong_with_a_method_is_said(written, message):
    with pytest.raises(ValueError, match=message):
        parse(written)


def test_the_code_and_the_kind_of_a_method_make_its_fingerprint():
    ours, other, peer = (parse(name).fingerprint for name in ("random", "hyperband", "peer/smac"))
    assert ours == other != peer


def test_without_a_fidelity_a_multi_fidelity_algorithm_runs_in_full(tiny_data):
    curve = play(load("hpobench-vehicle"), parse("hyperband").start, 3, 10)
    plain = play(load("hpobench-vehicle"), parse("random").start, 3, 10)
    assert (curve.evaluations, curve.spent) == (10, 10)
    assert curve.steps == plain.steps


def test_with_two_fidelities_the_schedule_goes_from_the_one_to_the_other(tiny_data):
    task, seen = load("nb201-cifar10"), set()
    session = OwnSession(task.space, task.eta, {"name": "hyperband"}, 0, 20)
    while suggestion := session.ask():
        seen.add((suggestion.fidelity, suggestion.resumed))
        session.tell(suggestion, task.observe(suggestion.config, suggestion.fidelity, 0))
    assert seen == {(12, 0), (200, 12), (200, 0)}


def test_a_space_that_an_algorithm_cannot_serve_is_missing_with_the_reason():
    with pytest.raises(Missing, match=r"hyperband cannot serve the space: .*eta"):
        OwnSession(load("hartmann3").space, 3, {"name": "hyperband", "eta": "three"}, 0, 10)


def test_priors_are_near_the_best_or_at_the_worst():
    task = load("hartmann3")
    space = Space.from_json(task.space)
    best = space.encode(extremes("hartmann3").best)

    def mode(quality, seed):
        told = with_prior(task, quality, seed)
        assert {parameter["prior"]["confidence"] for parameter in told["parameters"]} == {"medium"}
        return space.encode({parameter["name"]: parameter["prior"]["mode"] for parameter in told["parameters"]})

    assert abs(mode("good", 0) - best).max() < 0.05
    assert 0.01 < abs(mode("medium", 0) - best).max() < 0.6
    assert list(mode("good", 0)) != list(mode("good", 1))
    assert list(mode("bad", 0)) == list(mode("bad", 1))
    assert task.regret(extremes("hartmann3").worst) == 1.0


def test_a_method_with_a_prior_is_played_on_the_informed_space():
    curve = play(load("hartmann3"), parse("random@good").start, 0, 2)
    assert curve.evaluations == 2
