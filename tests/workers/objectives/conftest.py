"""What the tests of commands share: assignments of shell scripts, and carrying them out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from workers.objectives.command import CommandObjective
from workers.protocol import Assignment, Report, Result

REPORT = """report() { echo "{\\"step\\": $1, \\"metrics\\": {\\"loss\\": $2}}" >> "$ASSAY_REPORTS"; }"""


@pytest.fixture
def shell() -> Callable[..., Assignment]:
    """An assignment of a script of the shell, which may `report STEP LOSS`. Options of the objective by name."""

    def make(script: str, config: dict[str, Any] | None = None, fidelity: Any = None, **fields: Any) -> Assignment:
        options = {name: fields.pop(name) for name in ("env", "grace_seconds", "timeout_seconds") if name in fields}
        text = f"{REPORT}\n{script}".replace("{", "{{").replace("}", "}}")
        objective = {"type": "command", "command": ["sh", "-c", text], **options}
        return Assignment("key", objective, config or {}, 7, fidelity=fidelity, **fields)

    return make


@pytest.fixture
def carry_out() -> Callable[..., tuple[list[Report], Result]]:
    """Carries out an assignment: (reports, result), stopped after so many reports if told."""

    def run(work: Assignment, stop_after: int | None = None) -> tuple[list[Report], Result]:
        training = CommandObjective().train(work)
        reports = []
        try:
            step = next(training)
            while True:
                reports.append(step)
                step = training.send("stop" if len(reports) == stop_after else None)
        except StopIteration as end:
            return reports, end.value
        finally:
            training.close()

    return run


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits for something that another process does, and answers what the condition answered."""

    def wait(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (answer := condition()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)
        return answer

    return wait
