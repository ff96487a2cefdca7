"""What somebody sends is looked at line by line, and nothing is stored unless all of it is right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from search.replay import Difference, Verified
from service.models import Base
from spaces.errors import InvalidInput

Lines = list[Any]
Seal = Callable[[Lines], bytes]
CONFIG = {"x0": 1.0, "x1": 2.0, "kind": "=b", "size": 3}


@pytest.fixture
def stored(there: Any) -> Callable[[], int]:
    """How many rows there are, but for those that are always there."""

    def count() -> int:
        with there.database.session(write=False) as session:
            tables = [table for table in Base.metadata.sorted_tables if table.name != "projects"]
            return sum(session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables)

    return count


def of(lines: Lines, record: str, **fields: Any) -> Any:
    """The first line of this kind that has these values."""
    return next(
        line
        for line in lines[1:]
        if line["record"] == record and all(line[name] == value for name, value in fields.items())
    )


def change(record: str, field: str, value: Any, **which: Any) -> Callable[[Lines], None]:
    def apply(lines: Lines) -> None:
        line = of(lines, record, **which)
        line[field] = value(line[field]) if callable(value) else value

    return apply


def without(record: str, **which: Any) -> Callable[[Lines], None]:
    return lambda lines: lines.remove(of(lines, record, **which))


def again(record: str, **which: Any) -> Callable[[Lines], None]:
    return lambda lines: lines.insert(
        lines.index(of(lines, record, **which)), copy.deepcopy(of(lines, record, **which))
    )


def in_spec(name: str, value: Any) -> Callable[[Lines], None]:
    return change("study", "spec", lambda spec: {**spec, name: value})


WRONG: list[tuple[str, Callable[[Lines], None], str]] = [
    ("a name", change("study", "name", "no name"), r"line 2: study\.name: must be 1 to 128"),
    ("an unknown field", lambda lines: of(lines, "study").update(owner="me"), r"study\.owner: unknown field"),
    ("a state", change("run", "state", "lost"), r"line \d+: run\.state: must be"),
    ("a time", change("run", "created_at", "yesterday"), r"run\.created_at: must be a time in UTC"),
    ("another zone", change("run", "created_at", "2030-01-01T00:00:00+01:00"), r"must be a time in UTC"),
    ("a number as a text", change("run", "attempts", "1"), r"run\.attempts: must be an integer"),
    ("true as a number", change("run", "rung", True), r"run\.rung: must be an integer"),
    ("a number too large", change("run", "trial", 2**40), r"run\.trial: must be at most"),
    ("a config out of range", change("trial", "config", {**CONFIG, "x0": 99.0}), r"trial\.config\.x0"),
    ("a config with too little", change("trial", "config", {"x0": 1.0}), r"trial\.config"),
    (
        "a state that no event led to",
        change("run", "state", "cancelled", state="stopped"),
        r"run\.(metrics|stopped_by)",
    ),
    ("a study that events know as paused", change("study", "state", "paused"), r"by its events the study is active"),
    ("a finished study without an end", change("study", "state", "completed"), r"study\.finished_at"),
    ("an event left out", without("event", type="run.running"), r"event\.seq: must be \d+, the next one"),
    ("an event twice", again("event", type="run.running"), r"event\.seq"),
    ("the last event left out", lambda lines: lines.remove(of(lines, "event", seq=_last(lines))), r"enqueues config"),
    ("an unknown event", change("event", "type", "run.forgotten", type="run.running"), r"none of the events"),
    (
        "a step that is not allowed",
        change("event", "type", "run.retried", type="run.running"),
        r"cannot become pending",
    ),
    ("another trial's event", change("event", "trial", 3, type="run.running"), r"event\.trial: run \d+ is of trial"),
    ("an attempt left out", without("attempt", number=1), r"attempt\.number|of the 1 attempts"),
    ("an attempt twice", again("attempt", number=1), r"attempt\.number"),
    ("an attempt that goes on", change("attempt", "state", "reporting", number=1), r"attempt\.ended_at"),
    ("a report of no run", change("report", "run", 999), r"report\.run: the study has no run 999"),
    ("a report of no attempt", change("report", "attempt", 9), r"report\.attempt: run \d+ has"),
    ("a report too early", change("report", "after_event", 0), r"report\.after_event: comes before"),
    ("a report too late", change("report", "after_event", 10**6), r"a report comes after event"),
    ("a trial left out", without("trial", number=1), r"trial\.number: must be 1"),
    ("a trial without runs", again("trial", number=0), r"trial\.number"),
    ("a run twice", again("run", number=1), r"run\.number: must be 2"),
    ("a run of a later trial", change("run", "trial", 5, number=1), r"run\.trial: must be one of those before"),
    ("a run that goes on from itself", change("run", "resume_from", 2, number=2), r"run\.resume_from"),
    ("a fidelity of nowhere", change("run", "fidelity", 17.0), r"run\.fidelity: is none of epochs"),
    ("a half epoch", change("run", "fidelity", 1.5), r"run\.fidelity: is none of epochs"),
    ("no fidelity", change("run", "fidelity", None), r"run\.fidelity: there is one exactly where"),
    ("a success without the metric", change("run", "metrics", {"other": 1.0}, state="succeeded"), r"run\.metrics"),
    ("metrics of a failure", change("run", "metrics", {"loss": 1.0}, state="failed"), r"run\.metrics: does not go"),
    ("an unknown failure", change("run", "failure_class", "bad luck", state="failed"), r"run\.failure_class"),
    ("a checkpoint in the service's files", change("run", "checkpoint", "assay:datasets/1/x"), r"run\.checkpoint"),
    ("a checkpoint on its disk", change("run", "checkpoint", "/etc/passwd"), r"run\.checkpoint: must be an address"),
    ("a stop without a step", change("run", "stopped_by", {"rule": "x"}, state="stopped"), r"run\.stopped_by"),
    (
        "a served config out of turn",
        change("run", "origin", {"rule": "enqueued", "number": 7}, number=0),
        r"run\.origin",
    ),
    ("a rule that is none", change("run", "origin", {"rule": 1}, number=1), r"run\.origin: its rule must be a text"),
    ("a config enqueued by no event", again("enqueued", number=0), r"enqueued\.number"),
    ("an invalidation by nobody", change("trial", "invalidated", None, number=1), r"trial\.invalidated_event"),
    ("another reason", change("trial", "invalidated", {"reason": "yes", "by": "b"}, number=1), r"event\.data"),
    ("another leader", lambda lines: of(lines, "incumbent").update(run=2, event=_last(lines)), r"took the lead"),
    (
        "a leader left out",
        lambda lines: lines.remove(of(lines, "incumbent", place=0)),
        r"incumbent\.place|took the lead",
    ),
    ("a note on no trial", change("note", "trial", 999), r"note\.trial: the study has no trial 999"),
    ("two studies", again("study"), r"line 3: study: a file has one study"),
    ("no study", without("study"), r"comes before the study"),
    ("an unknown kind of line", change("note", "record", "notes"), r"unknown kind of record"),
    (
        "lines out of order",
        lambda lines: lines.insert(9, lines.pop(lines.index(of(lines, "event")))),
        r"belongs before",
    ),
    ("an unknown algorithm", in_spec("algorithm", {"name": "tpee"}), r"study\.spec\.algorithm\.name"),
    ("an unknown objective", in_spec("objective", {"type": "what"}), r"study\.spec\.objective\.type"),
    ("no space", in_spec("space", None), r"study\.spec\.space: is required"),
    ("a name within", in_spec("name", "x"), r"study\.spec\.name: is no part"),
    ("something derived", in_spec("derived", {"advice": []}), r"study\.spec\.derived"),
    ("resources as a text", in_spec("resources", "many"), r"study\.spec\.resources"),
    ("a metric that is none", in_spec("metrics", []), r"study\.spec\.metrics"),
    ("broken sources", change("study", "sources", [{"study": 1}]), r"study\.sources"),
    ("a later version", lambda lines: lines[0].update(version=2), r"line 1: version: is 2, but this service reads"),
    ("another format", lambda lines: lines[0].update(format="csv"), r"line 1: must be the header"),
]


def _last(lines: Lines) -> int:
    return max(line["seq"] for line in lines[1:] if line["record"] == "event")


@pytest.mark.parametrize(("wrong", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_the_line_that_is_wrong_is_told(
    there: Any,
    played: Lines,
    seal: Seal,
    stored: Callable[[], int],
    wrong: Callable[[Lines], None],
    message: str,
) -> None:
    wrong(played)

    with pytest.raises(InvalidInput, match=message):
        there.take_in(seal(played))
    assert stored() == 0


def test_nothing_is_wrong_with_it_as_it_was(there: Any, played: Lines, seal: Seal) -> None:
    there.take_in(seal(played))
    assert isinstance(there.verified(), Verified)


def test_two_reports_of_the_same_step_exclude_each_other(
    there: Any, played: Lines, seal: Seal, stored: Callable[[], int]
) -> None:
    again("report")(played)
    with pytest.raises(InvalidInput, match="reports: two of them exclude each other"):
        there.take_in(seal(played))
    assert stored() == 0


def test_other_decisions_are_found_by_the_verification(there: Any, played: Lines, seal: Seal) -> None:
    """Whether the search would have decided so is not asked: that may take as long as the study did."""
    change("trial", "config", lambda config: {**config, "x1": 0.125}, number=2)(played)
    there.take_in(seal(played))
    found = there.verified()
    assert isinstance(found, Difference)
    assert found.run == 2


def test_damage_is_found_before_anything_else(
    there: Any, played: Lines, seal: Seal, end: Callable[[bytes], bytes]
) -> None:
    content = seal(played)
    changed = content.replace(b'"state": "failed"', b'"state": "broken"', 1)
    truncated = b"".join(content.splitlines(keepends=True)[:-1])
    for damaged, message in (
        (changed, "something was changed or damaged"),
        (truncated, "some of the file is missing"),
        (content[: len(content) // 2], r"line \d+"),
        (content + b"{}\n", "some of the file is missing"),
        (content.replace(b"\n", b"\r\n"), "something was changed or damaged"),
        (b"", "the file is empty"),
        (b"PK\x03\x04", "line 1"),
        (b"\xff\xfe{\x00", "line 1"),
        (end(b""), "0 lines before it"),
        (end(b"[]\n") * 2, "line"),
        (b"[]\n" + end(b"[]\n"), "line 1: must be the header"),
    ):
        with pytest.raises(InvalidInput, match=message):
            there.take_in(damaged)


def test_what_could_be_understood_in_two_ways_is_refused(
    there: Any, played: Lines, seal: Seal, end: Callable[[bytes], bytes]
) -> None:
    whole = b"".join(seal(played).splitlines(keepends=True)[:-1])
    for before, after, message in (
        (b'"record": "note", "trial": 0', b'"record": "note", "trial": 0, "trial": 1', "more than once"),
        (b'"author": "bob"', b'"author": "\\u0000"', "NUL"),
        (b'"author": "bob"', b'"author": "\\ud800"', "surrogate"),
        (b'"loss": 0.5', b'"loss": NaN', "NaN is not a JSON value"),
        (b'"loss": 0.5', b'"loss": 1e999', "too large"),
        (b'"loss": 0.5', b'"loss": 12345678901234567890', "too large"),
        (b'"loss": 0.5', b'"loss": ' + b"[" * 100 + b"]" * 100, "nested too deeply"),
    ):
        assert before in whole
        content = whole.replace(before, after, 1)
        with pytest.raises(InvalidInput, match=message):
            there.take_in(content + end(content))
