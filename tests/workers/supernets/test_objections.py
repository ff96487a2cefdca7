"""What a one-shot study is refused for when it is created, and not when its run begins."""

from __future__ import annotations

import re
from typing import Any

import pytest

from search import StudySpec
from spaces import Space
from spaces.architectures import OneShot, of_space
from spaces.errors import InvalidInput, Path, Problem
from workers.catalogue import FAMILIES
from workers.objectives import check, written_out
from workers.rows import Facts
from workers.supernets.methods import METHODS
from workers.supernets.objections import objections
from workers.training.settings import resolve

BENCH = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
DARTS = {"name": "cell", "type": "cell", "preset": "darts", "nodes": 1}
METRICS = [{"name": "val_accuracy", "direction": "maximize"}]
EDGES = [f"{source}-{target}" for target in range(4) for source in range(target)]


def constant(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "type": "constant", "value": value}


def study(algorithm: dict[str, Any], *parameters: Any, constraints: Any = ()) -> dict[str, Any]:
    return {
        "space": {"parameters": list(parameters), "constraints": list(constraints)},
        "objective": {"type": "train", "family": "cell", "dataset": "digits", "epochs": 1},
        "metrics": METRICS,
        "algorithm": algorithm,
    }


def problems(given: dict[str, Any]) -> list[Problem]:
    """As a service tells them: of what the user wrote."""
    written = written_out(given)
    assert written is not None
    return [written.origin(problem) for problem in check({**given, "space": written.space})]


REFUSED: list[tuple[dict[str, Any], tuple[Any, ...], Path, str]] = [
    ({"name": "pc-darts", "channels": 6}, (BENCH,), ("algorithm", "partial"), "6 channels cannot be .* 1, 2, 3, 6, or"),
    (
        {"name": "pc-darts"},
        (BENCH, constant("channels", 10)),
        ("algorithm", "partial"),
        "one channel in 4, and 10 channels cannot be divided",
    ),
    (
        {"name": "pc-darts", "partial": 3},
        (BENCH,),
        ("algorithm", "partial"),
        "one channel in 3, and 8 channels cannot be divided",
    ),
    ({"name": "darts", "layers": 2}, (DARTS,), ("algorithm", "layers"), "no normal cell to search: take 3 at least"),
    ({"name": "gdas"}, (DARTS, constant("layers", 1)), ("space", "parameters", 1), "take 3 at least"),
    (
        {"name": "darts", "layers": 2},
        (DARTS, constant("layers", 8)),
        ("algorithm", "layers"),
        "with layers 2 there is no normal cell",
    ),
    (
        {"name": "proxyless", "cost": "multiply_adds"},
        ({**BENCH, "ops": ["none", "skip_connect", "avg_pool_3x3"]},),
        ("algorithm", "cost"),
        "no operation that the space leaves multiplies",
    ),
    (
        {"name": "rsps"},
        ({**BENCH, "choices": {f"0-{target}": ["none"] for target in (1, 2, 3)}},),
        ("space", "parameters", 0),
        "nothing leads from the input",
    ),
    ({"name": "enas"}, (BENCH, constant("norm", "weight")), ("space", "parameters", 1), "norm batch, group or layer"),
    ({"name": "darts"}, (BENCH, constant("stem", 4)), ("space", "parameters", 1), "16×16 pixels at least, not 8×8"),
    (  # layers 1 would have no normal cell
        {"name": "darts", "layers": 3},
        (DARTS, constant("stem", 4)),
        ("space", "parameters", 1),
        "not 8×8: take stem 1, or larger images$",
    ),
]


@pytest.mark.parametrize(("algorithm", "parameters", "path", "reason"), REFUSED)
def test_what_cannot_be_searched_is_refused(
    algorithm: dict[str, Any], parameters: tuple[Any, ...], path: Path, reason: str
) -> None:
    (problem,) = problems(study(algorithm, *parameters))
    assert problem.path == path
    assert re.search(reason, problem.message)


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [
        ({"name": "pc-darts"}, (BENCH,)),
        ({"name": "pc-darts", "partial": 5, "channels": 20}, (BENCH, constant("channels", 8))),
        ({"name": "darts", "layers": 3}, (DARTS, constant("layers", 1))),
        ({"name": "darts", "layers": 1}, (BENCH,)),
        ({"name": "proxyless", "cost": "multiply_adds"}, (BENCH,)),
        # its skips halve the sides by a convolution
        ({"name": "proxyless", "cost": "multiply_adds"}, ({**DARTS, "ops": ["skip_connect", "max_pool_3x3"]},)),
        ({"name": "random"}, (DARTS, constant("layers", 1))),
    ],
)
def test_what_can_be_searched_is_not(algorithm: dict[str, Any], parameters: tuple[Any, ...]) -> None:
    assert not problems(study(algorithm, *parameters))


def test_an_image_may_be_too_small_whatever_is_taken() -> None:
    architecture = of_space(Space.from_json({"parameters": [DARTS]}))
    assert isinstance(architecture, OneShot)
    settings = {**resolve(FAMILIES["cell"].hyperparameters("image"), {}), "layers": 3, "stem": 1}
    facts = Facts(task="classification", inputs="image", shape=(1, 3, 3), outputs=10)
    ((about, reason),) = objections(architecture, METHODS["darts"], settings, {}, facts)
    assert about == "dataset", "fewer layers would have no normal cell"
    assert reason.endswith("or larger images")


def test_what_is_wrong_with_an_algorithm_by_itself_is_left_to_others() -> None:
    assert not check(study({"name": "pc-darts", "partial": "all", "channels": 6}, BENCH))
    assert not check(study({"name": "darts", "layers": 1}, {"name": "lr", "type": "float", "low": 0.1, "high": 0.2}))


def refused(*parameters: Any, constraints: Any = ()) -> list[tuple[Path, str]]:
    given = study({"name": "darts"}, *parameters, constraints=constraints)
    del given["objective"]
    with pytest.raises(InvalidInput) as caught:
        StudySpec.from_json(given)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_what_hangs_on_the_architecture_is_refused() -> None:
    drop = {"name": "drop_path", "type": "float", "low": 0, "high": 0.4}
    hanging = {**drop, "when": {"parameter": "cell.0-1", "equals": "skip_connect"}}
    ((path, message),) = refused(BENCH, hanging)
    assert path == ("space", "parameters", 7, "when"), "the cell is written out into seven"
    assert '"cell.0-1": leave the condition out' in message
    old = study({"name": "darts"}, BENCH, hanging)
    del old["objective"]
    assert StudySpec.from_json(old, stored=True), "what was accepted before can still be read"
    given = study({"name": "darts"}, BENCH, {**drop, "when": {"parameter": "cell", "equals": "nas-bench-201"}})
    del given["objective"]
    assert StudySpec.from_json(given)


def test_constraints_may_leave_nothing_to_choose() -> None:
    others = ["none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3"]
    forbidden = [{"forbid": {"parameter": f"cell.{edge}", "in": others}} for edge in EDGES]
    ((path, message),) = refused(BENCH, constraints=forbidden)
    assert path == ("space", "constraints")
    assert "a single architecture" in message
    given = study({"name": "darts"}, BENCH, constraints=forbidden[1:])
    del given["objective"]
    assert StudySpec.from_json(given)
