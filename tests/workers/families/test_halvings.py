"""What a preset's space has for images of a size: networks that can be built on them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from spaces import Space
from spaces.errors import InvalidInput
from workers.catalogue import DATASETS, FAMILIES, load
from workers.objectives import written_out
from workers.objectives.preset_space import Written
from workers.protocol import Failure
from workers.rows import Facts
from workers.training.settings import resolve

HALVING = [name for name, family in FAMILIES.items() if family.halvings is not None]
SMALL = {"width": 4, "base": 4, "alpha": 0.25, "channels": 4, "fc": 8, "convs": 1, "mlpconv": 1}


def written(
    family: str, preset: str, monkeypatch: pytest.MonkeyPatch, side: int = 28, *changes: dict[str, Any]
) -> Written:
    """The study's space, on images of this size."""
    row = next(row for row in DATASETS.values() if FAMILIES[family].fits(row))
    monkeypatch.setitem(DATASETS, "sized", replace(row, name="sized", shape=(1, side, side)))  # type: ignore[misc]
    found = written_out(
        {
            "space": {"preset": preset, "parameters": list(changes)},
            "objective": {"type": "train", "family": family, "dataset": "sized"},
        }
    )
    assert found is not None
    return found


def space_of(*given: Any) -> dict[str, Any]:
    return dict(written(*given).space)


@pytest.mark.parametrize("side", [8, 28])
@pytest.mark.parametrize("family", HALVING)
def test_every_network_of_a_preset_can_be_built(family: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow ones, with the norms that there are."""
    space = space_of(family, "everything", monkeypatch, side)
    drawn, rng = Space.from_json(space), np.random.default_rng(0)
    row = FAMILIES[family]
    known = {each.name for each in row.hyperparameters("image")}
    facts = Facts(task=row.tasks[0], inputs="image", shape=(1, side, side), outputs=3)
    for _ in range(40):
        config = drawn.sample(rng)
        usual = {"norm": config["norm"]} if "norm" in config else {}
        read = {name: config[name] for name in (*row.halvings.reads, "style") if name in config}  # type: ignore[union-attr]
        settings = resolve(
            row.hyperparameters("image"), {**{n: v for n, v in SMALL.items() if n in known}, **read, **usual}
        )
        load(row.builder)(settings, facts)


@pytest.mark.parametrize("side", [8, 13, 28, 32])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_only_what_cannot_be_built_is_left_out(side: int, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space.from_json(space_of("chain_cnn", "everything", monkeypatch, side))
    row = FAMILIES["chain_cnn"]
    facts = Facts(task="classification", inputs="image", shape=(1, side, side), outputs=3)
    usual = {**space.default(), "norm": norm, **SMALL, "head": "gap"}
    for style, stride, blocks in product(("alex", "zf", "vgg", "nin"), (1, 2), range(1, 6)):
        config = {**usual, "style": style, "stem_stride": stride, "blocks": blocks}
        config = {name: value for name, value in config.items() if name in space.active(config)}
        settings = resolve(row.hyperparameters("image"), config)
        try:
            load(row.builder)(settings, facts)
        except Failure:
            assert not space.allows(config), (style, stride, blocks)
        else:
            assert space.allows(config), (style, stride, blocks)


def test_five_poolings_are_too_many_for_28_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of("chain_cnn", "minimal", monkeypatch)
    vgg = [{"parameter": "style", "equals": "vgg"}, {"parameter": "blocks", "equals": 5}]
    assert {"forbid": {"all": vgg}} in space["constraints"]
    assert not any("norm" in str(each) for each in space["constraints"]), "this preset does not search it"
    larger = space_of("chain_cnn", "minimal", monkeypatch, 64)
    assert not any("blocks" in str(each) for each in larger["constraints"])


def test_what_the_user_has_ruled_out_need_not_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = space_of("chain_cnn", "minimal", monkeypatch, 28, {"name": "blocks", "high": 4})
    assert not any("blocks" in str(each) for each in narrow["constraints"])
    fixed = space_of("chain_cnn", "minimal", monkeypatch, 28, {"name": "style", "type": "constant", "value": "vgg"})
    assert {"forbid": {"parameter": "blocks", "equals": 5}} in fixed["constraints"]
    deep = {"name": "blocks", "type": "constant", "value": 5}
    only = space_of("chain_cnn", "minimal", monkeypatch, 28, deep, {"name": "style", "choices": ["nin", "vgg"]})
    assert {"forbid": {"parameter": "style", "equals": "vgg"}} in only["constraints"]


def test_a_default_that_cannot_be_built_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = written("chain_cnn", "minimal", monkeypatch, 8, {"name": "blocks", "low": 4})
    with pytest.raises(InvalidInput) as refused:
        Space.from_json(found.space)
    (problem,) = map(found.origin, refused.value.under("space").problems)
    assert problem.path == ("space", "preset")
    assert 'not (style = "vgg") is broken by the defaults' in problem.message
    assert "built for such data): change what these parameters may be" in problem.message


@pytest.mark.parametrize(
    "change",
    [
        {"name": "style", "choices": ["vgg", "nothing"]},
        {"name": "style", "choices": 3},
        {"name": "style", "type": "constant", "value": ["vgg"]},
        {"name": "blocks", "low": "a"},
        {"name": "blocks", "low": -40},
        {"name": "blocks", "type": "float", "low": 1.5, "high": 5},
        {"name": "blocks", "high": 10**9},
    ],
)
def test_what_is_wrong_is_left_to_others(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(
        "blocks" in str(each) for each in space_of("chain_cnn", "minimal", monkeypatch, 28, change)["constraints"]
    )


def test_a_condition_of_the_users_own_may_say_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"name": "stem_stride", "when": {"any": [{"parameter": "style", "equals": "nin"}]}}
    space = space_of("chain_cnn", "minimal", monkeypatch, 28, own)
    Space.from_json(space)
    nin = [
        {"parameter": "style", "equals": "nin"},
        {"parameter": "stem_stride", "equals": 2},
        {"parameter": "blocks", "equals": 5},
    ]
    assert {"forbid": {"all": nin}} in space["constraints"]
