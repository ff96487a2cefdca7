"""A study as CSV, for spreadsheets and data frames: a row per trial, run or report.

Cells that a spreadsheet would take for a formula begin with an apostrophe, as OWASP has it against CSV injection: texts
that begin with =, +, -, @, a tab or a line break. Numbers are left alone, and have all their digits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from search.history import RunState
from service import models
from service.database import Session
from service.models import Report, Run, Study
from service.repositories.transfer import Transfers
from service.study_parts import plain_number
from service.transfer.records import write_time

MOST_METRICS = 1000
"""More columns than that no spreadsheet shows; those of the study come first."""
ROWS_AT_ONCE = 200

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Rows(StrEnum):
    TRIALS = "trials"
    RUNS = "runs"
    REPORTS = "reports"


def table(session: Session, study: Study, of: Rows) -> Iterator[bytes]:
    """The table in UTF-8, its names in the first row (RFC 4180). The session sees one state of the database until the
    last piece was taken."""
    return _written(_TABLES[of](Transfers(session), study))


def cell(value: object) -> str:
    """What stands in the table for a value."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case datetime():
            return write_time(value)
        case _:
            text = str(value)
            return "'" + text if text.startswith(_DANGEROUS) else text


def _trials(transfers: Transfers, study: Study) -> Iterator[Sequence[object]]:
    parameters, metrics = _parameters(study), _metrics(transfers, Run, study)
    yield [
        *("number", "state", *_named("config", parameters), "fidelity", *_named("metrics", metrics), "runs", "rule"),
        *("failure_class", "failure_message", "invalidated", "created_at", "finished_at"),
        *("seconds", "cpu_seconds", "gpu_seconds"),
    ]
    rows = transfers.runs_for_people(study.id, ("trial", "number"))
    for number, group in groupby(rows, key=lambda row: row.run.trial):
        runs = list(group)
        first, latest = runs[0].run, runs[-1].run
        success = next((row.run for row in reversed(runs) if row.run.state == RunState.SUCCEEDED), None)
        invalidated = runs[0].invalidated
        yield [
            *(number, latest.state, *_values(runs[0].config, parameters)),
            *(_plain(success.fidelity if success else None), *_values(success.metrics if success else None, metrics)),
            *(len(runs), first.origin.get("rule"), latest.failure_class, latest.failure_message),
            *(invalidated["reason"] if invalidated else None, first.created_at, latest.finished_at),
            _sum(_seconds(row.run) for row in runs),
            _sum(row.cost.cpu_seconds for row in runs),
            _sum(row.cost.gpu_seconds for row in runs),
        ]


def _runs(transfers: Transfers, study: Study) -> Iterator[Sequence[object]]:
    parameters, metrics = _parameters(study), _metrics(transfers, Run, study)
    own = ("number", "trial", "state", "kind", "bracket", "rung", "replicate", "fidelity")
    yield [
        *(*own, *_named("config", parameters), *_named("metrics", metrics), "rule", "resume_from", "attempts"),
        *("failure_class", "failure_message", "created_at", "started_at", "finished_at"),
        *("seconds", "cpu_seconds", "gpu_seconds"),
    ]
    for row in transfers.runs_for_people(study.id, ("number",)):
        run = row.run
        yield [
            *(run.number, run.trial, run.state, run.kind, run.bracket, run.rung, run.replicate, _plain(run.fidelity)),
            *(*_values(row.config, parameters), *_values(run.metrics, metrics)),
            *(run.origin.get("rule"), run.resume_from, run.attempts, run.failure_class, run.failure_message),
            *(run.created_at, run.started_at, run.finished_at, _seconds(run)),
            *(row.cost.cpu_seconds, row.cost.gpu_seconds),
        ]


def _reports(transfers: Transfers, study: Study) -> Iterator[Sequence[object]]:
    metrics = _metrics(transfers, Report, study)
    yield ["run", "trial", "step", *_named("metrics", metrics), "seconds", "created_at"]
    for report, trial in transfers.reports_for_people(study.id):
        yield [
            *(report.run, trial, _plain(report.step), *_values(report.metrics, metrics)),
            *(report.seconds, report.created_at),
        ]


_TABLES: Mapping[Rows, Callable[[Transfers, Study], Iterator[Sequence[object]]]] = {
    Rows.TRIALS: _trials,
    Rows.RUNS: _runs,
    Rows.REPORTS: _reports,
}


def _written(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for count, row in enumerate(rows, start=1):
        writer.writerow(map(cell, row))
        if count % ROWS_AT_ONCE == 0:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    content = text.getvalue().encode(errors="backslashreplace")
    text.seek(0)
    text.truncate()
    return content


def _parameters(study: Study) -> list[str]:
    return [parameter["name"] for parameter in study.spec["space"]["parameters"]]


def _metrics(transfers: Transfers, of: type[Run] | type[Report], study: Study) -> list[str]:
    """The study's own first, then whatever else was reported, by name."""
    own = [metric["name"] for metric in study.spec["metrics"]]
    others = sorted(transfers.metric_names(of, study.id, MOST_METRICS) - set(own))
    return [*own, *others][:MOST_METRICS]


def _named(prefix: str, names: Iterable[str]) -> list[str]:
    return [f"{prefix}.{name}" for name in names]


def _values(known: Mapping[str, Any] | None, names: Iterable[str]) -> list[object]:
    return [(known or {}).get(name) for name in names]


def _plain(number: float | None) -> float | int | None:
    return None if number is None else plain_number(number)


def _seconds(run: models.Run) -> float | None:
    return (run.finished_at - run.started_at).total_seconds() if run.started_at and run.finished_at else None


def _sum(amounts: Iterable[float | None]) -> float | None:
    """Of those that are known; null if none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
