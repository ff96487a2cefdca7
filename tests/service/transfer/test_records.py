"""Every column of a study's tables is exported, or is known to mean nothing elsewhere."""

from __future__ import annotations

from service.models import Base
from service.transfer.records import RECORDS

OF_THE_SERVICE = {
    "studies": {"id", "project_id", "owner", "lease_expires", "waiting", "active_since"},
    "attempts": {"token"},
    "reports": {"id"},
    "notes": {"id"},
    "artifacts": {"id", "path"},
    "jobs": {"key", "owner", "lease_expires", "attempts", "model"},
}
DERIVED = {
    "studies": {"standing", "counts", "trials", "checks", "fidelity", "last_event"},
    "runs": {"value", "violation"},
}


def test_no_column_is_forgotten() -> None:
    for record in RECORDS:
        name = record.table.__tablename__
        left_out = {*OF_THE_SERVICE.get(name, ()), *DERIVED.get(name, ()), "study_id"}
        columns = {column.name for column in Base.metadata.tables[name].columns}
        assert columns - left_out == set(record.model_fields), name


def test_no_table_is_forgotten() -> None:
    of_studies = {
        table.name
        for table in Base.metadata.sorted_tables
        if any(key.column.table.name in ("studies", "trials", "runs") for key in table.foreign_keys)
    }
    assert of_studies | {"studies"} == {record.table.__tablename__ for record in RECORDS}
