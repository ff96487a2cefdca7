"""Drawing from a space with constraints: the laws, where they are known."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from spaces import Space
from spaces.region import MAX_DRAWS


def _space(parameters: list[dict[str, Any]], *constraints: dict[str, Any]) -> Space:
    return Space.from_json({"parameters": parameters, "constraints": list(constraints)})


def _float(name: str, low: float = 0.0, high: float = 1.0, **fields: object) -> dict[str, Any]:
    return {"name": name, "type": "float", "low": low, "high": high, **fields}


def _int(name: str, low: int, high: int, **fields: object) -> dict[str, Any]:
    return {"name": name, "type": "int", "low": low, "high": high, **fields}


def _draws(space: Space, number: int, *, prior: bool = False) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    draw = space.sample_prior if prior else space.sample
    configs = [draw(rng) for _ in range(number)]
    for config in configs:
        space.validate(config)
    return configs


def test_rejection_is_the_conditioned_law() -> None:
    """Uniform on the triangle a + b <= 1: a has density 2 (1 - a)."""
    space = _space([_float("a"), _float("b")], {"linear": {"a": 1, "b": 1}, "le": 1})
    drawn = [config["a"] for config in _draws(space, 2_000)]
    assert stats.kstest(drawn, lambda a: 1 - (1 - np.asarray(a)) ** 2).pvalue > 1e-3


def test_an_equation_of_floats_is_uniform_on_the_simplex() -> None:
    space = _space([_float(name) for name in "abc"], {"linear": {"a": 1, "b": 1, "c": 1}, "eq": 1})
    configs = _draws(space, 200)
    for name in "abc":
        assert stats.kstest([config[name] for config in configs], stats.beta(1, 2).cdf).pvalue > 1e-3
    assert max(abs(sum(config.values()) - 1) for config in configs) < 1e-12


def test_an_equation_on_a_log_scale() -> None:
    """x + y = 3 with x log-uniform, y uniform: x has the density 1 / x on [1, 2]."""
    space = _space([_float("x", 1, 4, log=True), _float("y", 1, 2)], {"linear": {"x": 1, "y": 1}, "eq": 3})
    drawn = [config["x"] for config in _draws(space, 300)]
    assert stats.kstest(drawn, lambda x: np.log(x) / math.log(2)).pvalue > 1e-3


def test_an_equation_of_integers() -> None:
    space = _space([_int(name, 0, 6) for name in "abcdefgh"], {"linear": dict.fromkeys("abcdefgh", 1), "eq": 2})
    configs = _draws(space, 250)  # one in 160,000 draws keeps it
    counts = Counter(space.key(config) for config in configs)
    assert space.size() == 36
    assert stats.chisquare([counts[space.key(config)] for config in space.enumerate()]).pvalue > 1e-3


def test_an_equation_of_an_integer_and_a_float() -> None:
    """n + 10 x = 7 with n in 0...9: each n as likely, x follows."""
    space = _space([_int("n", 0, 9), _float("x")], {"linear": {"n": 1, "x": 10}, "eq": 7})
    configs = _draws(space, 200)
    counts = Counter(config["n"] for config in configs)
    assert sorted(counts) == list(range(8))
    assert stats.chisquare([counts[n] for n in range(8)]).pvalue > 1e-3


def test_a_thin_inequality_is_drawn_from_although_chance_never_meets_it() -> None:
    names = [f"p{index}" for index in range(12)]
    space = _space([_float(name) for name in names], {"linear": dict.fromkeys(names, 1), "le": 0.6})
    configs = _draws(space, 60)  # 0.6 ** 12 / 12! of the cube
    sums = [sum(config.values()) / 0.6 for config in configs]
    assert stats.kstest(sums, stats.beta(12, 1).cdf).pvalue > 1e-3  # what a uniform law on it gives


def test_the_prior_conditioned_on_a_constraint() -> None:
    parameters = [_int("n", 1, 5, prior={"mode": 4, "confidence": "high"}), _int("m", 1, 5)]
    space = _space(parameters, {"forbid": {"parameter": "n", "ge": {"parameter": "m"}}})
    configs = _draws(space, 3_000, prior=True)
    masses = {space.key(config): math.exp(space.log_mass(config)) for config in space.enumerate()}
    counts = Counter(space.key(config) for config in configs)
    expected = np.array(list(masses.values())) / sum(masses.values()) * 3_000
    assert stats.chisquare([counts[key] for key in masses], expected).pvalue > 1e-3


def test_the_prior_on_an_equation() -> None:
    """a + b = 1 with a normal prior on a: a follows it."""
    space = _space([_float("a", prior={"mode": 0.3, "sigma": 0.1}), _float("b")], {"linear": {"a": 1, "b": 1}, "eq": 1})
    drawn = [config["a"] for config in _draws(space, 150, prior=True)]
    assert stats.kstest(drawn, stats.truncnorm(-3, 7, 0.3, 0.1).cdf).pvalue > 1e-3


def test_whether_an_equation_applies_is_left_to_chance() -> None:
    parameters = [
        {"name": "on", "type": "bool"},
        _float("a", when={"parameter": "on", "equals": True}),
        _float("b", when={"parameter": "on", "equals": True}),
    ]
    space = _space(parameters, {"linear": {"a": 1, "b": 1}, "eq": 1})
    share = sum(config["on"] for config in _draws(space, 100)) / 100
    assert 0.33 < share < 0.67


def test_forbidden_almost_everywhere() -> None:
    """One of 100,000 configs is allowed: found although hardly a draw meets it."""
    names = [f"p{index}" for index in range(5)]
    space = _space([_int(name, 1, 10) for name in names], *({"forbid": {"parameter": name, "gt": 1}} for name in names))
    assert space.size() == 1
    assert space.sample(np.random.default_rng(0)) == dict.fromkeys(names, 1)
    assert 10 ** len(names) > MAX_DRAWS


def test_repair_moves_to_the_nearest() -> None:
    rng = np.random.default_rng(0)
    space = _space(
        [_int("n", 1, 9), _int("m", 1, 9), {"name": "opt", "type": "categorical", "choices": ["a", "b", "c"]}],
        {"linear": {"n": 1, "m": 1}, "le": 10},
        {"forbid": {"parameter": "opt", "equals": "b"}},
    )
    assert space.repair({"n": 4, "m": 5, "opt": "a"}, rng) == {"n": 4, "m": 5, "opt": "a"}
    assert space.repair({"n": 8, "m": 6, "opt": "c"}, rng) == {"n": 6, "m": 4, "opt": "c"}
    repaired = space.repair({"n": 4, "m": 5, "opt": "b"}, rng)
    assert repaired["opt"] in ("a", "c")
    assert (repaired["n"], repaired["m"]) == (4, 5)


def test_the_same_stream_gives_the_same_config() -> None:
    space = _space([_float(name) for name in "abc"], {"linear": {"a": 1, "b": 1, "c": 1}, "eq": 1})
    again = Space.from_json(space.to_json())
    rngs = np.random.default_rng(3), np.random.default_rng(3)
    first, second = ([one.sample(rng) for _ in range(5)] for one, rng in zip((space, again), rngs, strict=True))
    assert first == second


def test_mutants_and_neighbours_on_an_equation() -> None:
    """No single value can change: another follows along."""
    space = _space([_float(name) for name in "abc"], {"linear": {"a": 1, "b": 1, "c": 1}, "eq": 1})
    rng = np.random.default_rng(0)
    config = space.sample(rng)
    for other in (space.mutate(config, rng), *space.neighbours(config, rng)):
        space.validate(other)
        assert other != config
    assert space.neighbours(config, rng)


def test_acceptance_is_measured() -> None:
    space = _space([_int("n", 1, 4)], {"forbid": {"parameter": "n", "equals": 1}})
    kept, broken = space.acceptance(np.random.default_rng(0), 2_000)
    assert kept == pytest.approx(0.75, abs=0.05)
    assert broken == [pytest.approx(1 - kept)]
    assert list(itertools.islice(space.enumerate(), 1)) == [{"n": 2}]
