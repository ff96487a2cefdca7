"""One-shot studies in the service: the supernet's run, what it has found, and architectures for other studies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.dispatcher import Dispatcher
from service.models import DEFAULT_PROJECT_ID, Report, Run
from service.recorder import Recorder
from service.repositories.studies import Studies
from service.states import StudyState
from service.transfer.exporting import exported
from spaces import Space
from spaces.architectures import of_space
from spaces.errors import InvalidInput
from workers.checkpoints import Checkpoint
from workers.protocol import FailureClass, Supernet

Create = Callable[..., int]
CELL = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
DARTS: dict[str, Any] = {
    "space": {"parameters": [CELL]},
    "objective": {"type": "train", "family": "cell", "dataset": "digits", "epochs": 1},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "darts", "epochs": 2, "retrain": 2, "trusted": 0},
    "budget": {},
    "checks": False,
}


def found(*operations: str) -> dict[str, Any]:
    ranking = [
        {"config": {f"cell.{edge}": operation for edge in EDGES}, "score": 1 - place / 10}
        for place, operation in enumerate(operations)
    ]
    return {"ranking": ranking, "genotypes": []}


def runs(database: Database, study_id: int) -> list[Run]:
    with database.session(write=False) as session:
        return list(session.query(Run).filter_by(study_id=study_id).order_by(Run.number))


def test_the_supernet_is_carried_out_first_and_then_what_it_ranked(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**DARTS)
    turn()
    (supernet,) = pool.open.values()
    assert isinstance(supernet.supernet, Supernet)
    assert (supernet.supernet.method, supernet.supernet.options["epochs"]) == ("darts", 2)
    assert supernet.supernet.space["parameters"][0]["name"] == "cell"
    pool.report(supernet, 1, val_accuracy=0.3, alpha_entropy=1.6)
    pool.finish(supernet, details=found("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"), val_accuracy=0.5)
    turn()
    turn()
    assert [one.config["cell.0-1"] for one in pool.open.values()] == ["nor_conv_1x1", "nor_conv_3x3"]
    assert all(one.supernet is None for one in pool.open.values())
    for one, accuracy in zip(list(pool.open.values()), (0.8, 0.9), strict=True):
        pool.finish(one, val_accuracy=accuracy)
    turn()
    if pool.open:  # the final test
        pool.finish(pool.first, test_accuracy=0.9)
        turn()
    first, *others = runs(sqlite_database, study_id)
    assert (first.kind, first.state, first.value, first.metrics) == (
        "supernet",
        RunState.SUCCEEDED,
        None,
        {"val_accuracy": 0.5},
    )
    assert first.details is not None
    assert len(first.details["ranking"]) == 3
    assert [run.origin["rank"] for run in others] == [1, 2]
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        assert study.state == StudyState.COMPLETED
        assert study.standing is not None
        assert study.standing["run"] == 2, "the supernet's accuracy is no result"


def test_a_supernet_that_finds_nothing_fails_the_study(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**DARTS)
    turn()
    pool.finish(pool.first, details={"ranking": []}, val_accuracy=0.5)
    turn()
    turn()
    (run,) = runs(sqlite_database, study_id)
    assert run.failure_message is not None
    assert "ends with a ranking" in run.failure_message
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        assert study.state == StudyState.FAILED
        assert study.reason is not None
        assert "supernet" in study.reason


def test_a_supernet_out_of_memory_says_so(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**DARTS, retry={"oom": 0})
    turn()
    pool.fail(pool.first, FailureClass.OOM, "the batch of 32 does not fit either")
    turn()
    turn()
    (run,) = runs(sqlite_database, study_id)
    assert (run.state, run.failure_class) == (RunState.FAILED, "oom")


def test_a_found_architecture_is_taken_to_another_dataset(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    create(**DARTS)
    turn()
    pool.finish(pool.first, details=found("nor_conv_1x1", "nor_conv_3x3"), val_accuracy=0.5)
    turn()
    turn()
    for one, accuracy in zip(list(pool.open.values()), (0.8, 0.9), strict=True):
        pool.finish(one, val_accuracy=accuracy)
    turn()
    with pytest.raises(InvalidInput, match="trial 0 is a supernet"):
        create(**{**DARTS, "name": "t", "space": {"architecture_from": {"study": "s", "trial": 0}}})
    with pytest.raises(InvalidInput, match="name"):
        odd = {"name": ["x"], "type": "float", "low": 0, "high": 1}
        create(**{**DARTS, "name": "t", "space": {"architecture_from": {"study": "s"}, "parameters": [odd]}})
    with pytest.raises(InvalidInput, match="something is left to choose"):
        create(**{**DARTS, "name": "t", "space": {"architecture_from": {"study": "s"}, "parameters": []}})
    for trial, operation in ((None, "nor_conv_3x3"), (1, "nor_conv_1x1")):
        source = {"study": "s"} if trial is None else {"study": "s", "trial": trial}
        lr = {"name": "lr", "type": "float", "low": 1e-3, "high": 1e-1, "log": True}
        name = f"transfer-{trial}"
        create(
            **{
                **DARTS,
                "name": name,
                "space": {"architecture_from": source, "parameters": [lr]},
                "objective": {**DARTS["objective"], "dataset": "mnist5k"},
                "algorithm": {"name": "random"},
                "budget": {"max_runs": 1},
            }
        )
        with sqlite_database.session(write=False) as session:
            space = Studies(session, DEFAULT_PROJECT_ID).get(name).spec["space"]
        values = {each["name"]: each["value"] for each in space["parameters"] if each["type"] == "constant"}
        assert values == {"cell": "nas-bench-201", **{f"cell.{edge}": operation for edge in EDGES}}


def test_a_supernet_whose_worker_is_lost_goes_on_from_its_last_epoch(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**DARTS)
    turn()
    first = pool.first
    assert first.fidelity == ("epochs", 2, 2)
    assert first.checkpoint is not None
    Checkpoint({}, 1, {"val_accuracy": 0.3}, {"w": torch.zeros(2)}, {}).save(first.checkpoint)
    pool.report(first, 1, val_accuracy=0.3)
    turn()
    pool.fail(first, FailureClass.LOST)
    turn()
    turn()
    again = pool.first
    assert again.resume_from == first.checkpoint
    with sqlite_database.session(write=False) as session:
        reports = session.query(Report).filter_by(study_id=study_id).all()
    assert [(report.step, report.attempt) for report in reports] == [(1, 2)]
    pool.fail(again, FailureClass.LOST)  # before it saved anything
    turn()
    turn()
    assert pool.first.resume_from == first.checkpoint


def test_a_supernet_that_the_service_gave_up_goes_on_from_its_last_epoch(
    create: Create,
    pool: Any,
    checkpoints: Checkpoints,
    breaking: Callable[[bool], Any],
    monkeypatch: pytest.MonkeyPatch,
    sqlite_database: Database,
) -> None:
    """A fault of the service ends what is under way; here the database is gone too, so that the study goes on."""
    study_id, flaky = create(**DARTS), breaking(False)
    dispatcher = Dispatcher(flaky, pool, checkpoints, exclusive=True)
    dispatcher.step(0.0)
    first = pool.first
    assert first.checkpoint is not None
    Checkpoint({}, 1, {"val_accuracy": 0.3}, {"w": torch.zeros(2)}, {}).save(first.checkpoint)
    pool.report(first, 1, val_accuracy=0.3)
    dispatcher.step(0.0)
    pool.report(first, 2, val_accuracy=0.4)

    def record(*_: Any) -> None:
        flaky.failures = 1
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patched, pytest.raises(DatabaseUnavailable):
        patched.setattr(Recorder, "record", record)
        dispatcher.step(0.0)
    assert pool.killed == [first.key]
    dispatcher.step(0.0)
    again = pool.first
    assert again.resume_from == first.checkpoint
    with sqlite_database.session(write=False) as session:
        reports = session.query(Report).filter_by(study_id=study_id).all()
        assert [(report.step, report.attempt) for report in reports] == [(1, 2)]
    assert runs(sqlite_database, study_id)[0].state == RunState.PENDING
    dispatcher.hand_over()


def test_what_was_saved_stays_where_the_loss_of_a_worker_is_stored_twice(
    create: Create, pool: Any, checkpoints: Checkpoints, breaking: Callable[[bool], Any]
) -> None:
    """The commit was made and its answer lost, so that the same event is recorded again."""
    create(**DARTS)
    flaky = breaking(True)
    dispatcher = Dispatcher(flaky, pool, checkpoints, exclusive=True)
    dispatcher.step(0.0)
    first = pool.first
    assert first.checkpoint is not None
    Checkpoint({}, 1, {"val_accuracy": 0.3}, {"w": torch.zeros(2)}, {}).save(first.checkpoint)
    dispatcher.step(0.0)
    pool.fail(first, FailureClass.LOST)
    flaky.failures = 1
    with pytest.raises(DatabaseUnavailable):
        dispatcher.step(0.0)
    dispatcher.step(0.0)
    assert pool.first.resume_from == first.checkpoint
    dispatcher.hand_over()


@pytest.mark.parametrize(
    ("space", "path", "message"),
    [
        ({"architecture_from": 3, "parameters": []}, ("space", "architecture_from"), "must be an object"),
        ({"architecture_from": {"trial": 1}}, ("space", "architecture_from", "study"), "must be the name of a study"),
        (
            {"architecture_from": {"study": "nobody's"}},
            ("space", "architecture_from", "study"),
            "nobody's",
        ),
        ({"architecture_from": {"study": "s", "trial": 7}}, ("space", "architecture_from", "trial"), "no trial 7"),
        ({"architecture_from": {"study": "s", "trial": 10**30}}, ("space", "architecture_from", "trial"), "no trial 1"),
        ({"architecture_from": {"study": "s"}, "parameters": 5}, ("space", "parameters"), "must be a list"),
        ({"architecture_from": {"study": "s"}}, ("space", "architecture_from"), "has succeeded yet"),
        ({"architecture_from": {"study": "plain"}}, ("space", "architecture_from", "study"), "has no architecture"),
        ({"architecture_from": {"study": "s", "tril": 1}}, ("space", "architecture_from", "tril"), "unknown field"),
        ({"parameters": [{**CELL, "preset": "nasbench"}]}, ("space", "parameters", 0, "preset"), "unknown preset"),
    ],
)
def test_what_cannot_be_transferred_or_read_is_refused_at_its_place(
    create: Create, space: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    create(**DARTS)
    create(name="plain")
    with pytest.raises(InvalidInput) as refused:
        create(**{**DARTS, "name": "other", "space": {"parameters": [], **space}})
    assert [problem.path for problem in refused.value.problems] == [path]
    assert message in refused.value.problems[0].message


@pytest.mark.parametrize(
    ("algorithm", "parameters", "path"),
    [
        ({"name": "pc-darts", "channels": 6}, [CELL], ("algorithm", "partial")),
        ({"name": "gdas", "layers": 2}, [{**CELL, "preset": "darts"}], ("algorithm", "layers")),
        ({"name": "rsps"}, [CELL, {"name": "norm", "type": "constant", "value": "weight"}], ("space", "parameters", 1)),
    ],
)
def test_what_cannot_be_searched_is_refused_where_it_is_written(
    create: Create, algorithm: dict[str, Any], parameters: list[Any], path: tuple[Any, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(**{**DARTS, "algorithm": algorithm, "space": {"parameters": parameters}})
    assert [problem.path for problem in refused.value.problems] == [path]


@pytest.mark.parametrize("objective", [{"type": "external"}, {"type": "command", "command": ["true"]}])
def test_only_networks_that_are_trained_here_have_a_supernet(create: Create, objective: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(**{**DARTS, "objective": objective})
    assert [problem.path for problem in refused.value.problems] == [("objective", "type")]


def test_a_problem_within_a_cell_is_told_at_the_cells_entry(create: Create) -> None:
    lr = {"name": "cell.0-1", "type": "float", "low": 1e-3, "high": 1e-1}
    with pytest.raises(InvalidInput) as refused:
        create(**{**DARTS, "space": {"parameters": [CELL, lr]}})
    assert {problem.path[:3] for problem in refused.value.problems} <= {
        ("space", "parameters", 0),
        ("space", "parameters", 1),
    }


def test_it_is_exported_with_what_it_has_found(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    create(**DARTS)
    turn()
    pool.finish(pool.first, details=found("nor_conv_1x1", "nor_conv_3x3"), val_accuracy=0.5)
    turn()
    with sqlite_database.session(write=False) as session:
        content = b"".join(exported(session, Studies(session, DEFAULT_PROJECT_ID).get("s")))
    assert b'"details":{"ranking":' in content


def test_the_default_of_a_cell_can_be_trained() -> None:
    space = Space.from_json({"parameters": [CELL]})
    architecture = of_space(space)
    assert architecture is not None
    assert architecture.objection(space.default()) is None
