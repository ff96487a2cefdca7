"""What holds for every space, on random ones."""

import json
import math
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from spaces import InvalidInput, Space

Objects = SearchStrategy[dict[str, Any]]
law = settings(deadline=None, max_examples=50)


def _plain(config: Mapping[str, object]) -> bool:
    return all(type(value) in (bool, int, float, str) for value in config.values())


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Equal up to the rounding of floats on a continuum."""
    return one.keys() == other.keys() and all(
        type(value) is type(other[name])
        and (
            math.isclose(value, other[name], rel_tol=1e-9, abs_tol=1e-9)
            if type(value) is float
            else value == other[name]
        )
        for name, value in one.items()
    )


@law
@given(data=st.data())
def test_json_round_trip(data: DataObject, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert hash(again) == hash(space)
    assert again.to_json() == space.to_json()
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301  # our own bytes


@law
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_samples_are_valid_and_reproducible(data: DataObject, seed: int, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    config = space.sample(np.random.default_rng(seed))
    space.validate(config)
    assert _plain(config)
    assert space.active(config) == set(config)
    assert list(config) == [parameter.name for parameter in space.parameters if parameter.name in config]
    assert space.sample(np.random.default_rng(seed)) == config


@law
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_encoding_round_trip(data: DataObject, seed: int, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    config = space.sample(np.random.default_rng(seed))
    point = space.encode(config)
    assert point.dtype == np.float64
    assert point.shape == (len(space.parameters),)
    active = [parameter.name in config for parameter in space.parameters]
    assert np.array_equal(np.isnan(point), np.logical_not(active))
    assert np.all((point[active] >= 0) & (point[active] <= 1))
    assert _same(space.decode(point), config)


@law
@given(data=st.data())
def test_every_point_decodes_to_a_valid_config(data: DataObject, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    coordinate = st.one_of(
        st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, math.nextafter(1, 0), -0.5, 7.0, math.inf, math.nan])
    )
    dimensions = len(space.parameters)
    config = space.decode(data.draw(st.lists(coordinate, min_size=dimensions, max_size=dimensions)))
    space.validate(config)
    assert _plain(config)


@law
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_key_is_stable_and_reads_back(data: DataObject, seed: int, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    config = space.sample(np.random.default_rng(seed))
    key = space.key(config)
    assert space.key(dict(reversed(config.items()))) == key
    assert Space.from_json(space.to_json()).key(json.loads(key)) == key
    assert json.loads(key) == config


@law
@given(data=st.data())
def test_default_is_valid_and_uses_declared_defaults(data: DataObject, space_objects: Objects) -> None:
    written = data.draw(space_objects)
    space = Space.from_json(written)
    config = space.default()
    space.validate(config)
    for parameter in written["parameters"]:
        if "default" in parameter and parameter["name"] in config:
            assert config[parameter["name"]] == parameter["default"]


@law
@given(data=st.data())
def test_size_counts_what_enumerate_lists(data: DataObject, finite_space_objects: Objects) -> None:
    space = Space.from_json(data.draw(finite_space_objects))
    configs = list(space.enumerate())
    assert len(configs) == space.size()
    assert len({space.key(config) for config in configs}) == len(configs)
    for config in configs[:50]:
        space.validate(config)
        assert space.decode(space.encode(config)) == config


@law
@given(data=st.data())
def test_a_space_is_infinite_when_a_free_float_can_be_active(data: DataObject, space_objects: Objects) -> None:
    space = Space.from_json(data.draw(space_objects))
    free = {p.name for p in space.parameters if p.domain.count is None}
    if space.size() is None:
        assert free
        with pytest.raises(ValueError, match="infinite"):
            space.enumerate()
    else:
        assert all(free.isdisjoint(config) for config in space.enumerate())


@law
@given(
    data=st.data(),
    rubbish=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["parameters", "name", "type", "low", "when", "all", "not", "parameter", "in", "choices"]
                ),
                inner,
                max_size=4,
            )
        ),
    ),
)
def test_rubbish_anywhere_is_a_problem_with_a_path(data: DataObject, rubbish: object, space_objects: Objects) -> None:
    """Replaces one value somewhere in a good space: it is read, or refused with a path that leads somewhere."""
    written = data.draw(space_objects)
    place: Any = written
    while True:
        step = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[step], dict | list) or not place[step] or data.draw(st.booleans()):
            place[step] = rubbish
            break
        place = place[step]
    try:
        space = Space.from_json(written)
    except InvalidInput as error:
        for problem in error.problems:
            found: Any = written
            for depth, part in enumerate(problem.path):
                if depth == len(problem.path) - 1 and isinstance(found, dict) and part not in found:
                    break  # a field that is missing
                found = found[part]
    else:
        assert Space.from_json(space.to_json()) == space
