"""Parquet: the names and types are in the file; the values are read in batches, which proves that they can be."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from service.datasets.schema import Malformed, Schema, check_names
from service.datasets.summary import Summary

BATCH_ROWS = 16_384


def read_parquet(path: Path) -> Schema:
    """Raises Malformed."""
    try:
        with parquet.ParquetFile(path) as file:
            fields = file.schema_arrow
            check_names(fields.names)
            summaries = [Summary(field.type) for field in fields]
            rows = 0
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                rows += batch.num_rows
                for summary, values in zip(summaries, batch.columns, strict=True):
                    summary.add(values)
    except MemoryError:  # which Arrow's own is too
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Malformed(f"this is no Parquet file that can be read: {error}") from error
    if rows == 0:
        raise Malformed("there are no rows")
    columns = (summary.column(field.name, str(field.type)) for summary, field in zip(summaries, fields, strict=True))
    return Schema(rows, list(columns))
