"""A study as JSON lines, from one state of the database and with a page of it in memory at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from search.history import RunState
from service.checkpoints import UPLOADED
from service.database import Session
from service.models import Study, utcnow
from service.repositories.transfer import Transfers
from service.transfer.records import FORMAT, RECORDS, VERSION, JobRecord, Record, StudyRecord, write_time

LOCAL_TO_DATASETS = ("key", "rows", "columns")
"""What a study knows of its dataset that means nothing elsewhere."""


def exported(session: Session, study: Study) -> Iterator[bytes]:
    """The lines. The session sees one state of the database until the last one was taken."""
    digest, count = sha256(), 0
    for line in _lines(session, study):
        digest.update(line)
        count += 1
        yield line
    yield _line({"end": {"lines": count, "sha256": digest.hexdigest()}})


def _lines(session: Session, study: Study) -> Iterator[bytes]:
    transfers, now = Transfers(session), utcnow()
    counts = {record.word: transfers.count(record.table, study.id) for record in RECORDS}
    yield _line(
        {
            "format": FORMAT,
            "version": VERSION,
            "assay": version("assay"),
            "exported_at": now,
            "counts": {word: count for word, count in counts.items() if count},
        }
    )
    for record in RECORDS:
        columns = list(record.model_fields)
        for row in transfers.rows(record.table, columns, record.order, study.id):
            yield _line({"record": record.word, **_portable(record, row, study, now)})


def _portable(record: type[Record], row: Mapping[str, Any], study: Study, now: datetime) -> dict[str, Any]:
    """The row without what only means something here."""
    # Of zeros a database may keep the sign or not, in columns of numbers; in JSON both keep it.
    portable: dict[str, Any] = {name: value + 0.0 if isinstance(value, float) else value for name, value in row.items()}
    if record is StudyRecord:
        portable |= {"spec": _portable_spec(portable["spec"]), "active_seconds": study.elapsed(now)}
    if record is JobRecord and not RunState(portable["state"]).finished:
        # a check is made anew; what a finalization works on, checkpoints and workers, stays here
        portable["state"] = RunState.CANCELLED if portable["finalization"] else RunState.PENDING
    checkpoint = portable.get("checkpoint")
    if checkpoint is not None and (checkpoint.startswith(UPLOADED) or "://" not in checkpoint):
        portable["checkpoint"] = None  # a file of this service
    return portable


def _portable_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is derived from the rest, and without the place of its dataset."""
    portable = {name: part for name, part in spec.items() if name != "derived"}
    dataset = spec["objective"].get("dataset")
    if isinstance(dataset, Mapping):
        known = {name: value for name, value in dataset.items() if name not in LOCAL_TO_DATASETS}
        portable["objective"] = {**spec["objective"], "dataset": known}
    return portable


def _line(value: Mapping[str, Any]) -> bytes:
    """As UTF-8, with every number as Python reads it back to the last bit."""
    try:
        text = _dumps(value)
        if "\\u0000" not in text:
            return text.encode() + b"\n"
    except ValueError:  # a number that is not finite, or half of a surrogate pair
        pass
    return _dumps(_storable(value)).encode() + b"\n"


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_time)


def _time(value: object) -> str:
    assert isinstance(value, datetime), f"{value!r} is none of the things in a row"
    return write_time(value)


def _storable(value: Any) -> Any:
    """Without what no importer could store: earlier versions, on SQLite, stored whatever workers said."""
    match value:
        case Mapping():
            return {_storable(name): _storable(item) for name, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
