"""The JSON of datasets and artifacts, as types."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service import catalogue_schemas, models
from service.checkpoints import UPLOADED


class DatasetFormat(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    NPZ = "npz"


class ArtifactKind(StrEnum):
    CHECKPOINT = "checkpoint"
    LOG = "log"
    PLOT = "plot"
    FILE = "file"


class BuiltinDataset(catalogue_schemas.Dataset):
    """One that comes with the service."""

    kind: Literal["builtin"] = "builtin"


class Column(BaseModel):
    """A column of a table, or an array."""

    name: str
    type: Literal["bool", "int", "float", "text", "date", "datetime", "binary", "other"]
    stored: str = Field(description="The type in the words of the format.", examples=["int64"])
    missing: int = Field(description="How many values are empty or NaN.")
    distinct: int | None = Field(description="How many different values there are; null for many, or unknown.")
    categories: list[bool | str] | None = Field(description="The different values, where they are few.")
    low: int | float | str | None = Field(description="The least finite value, of what has an order.")
    high: int | float | str | None = Field(description="The largest finite value.")
    shape: list[int] | None = Field(description="Of an array.")


class UploadedDataset(BaseModel):
    """One that somebody uploaded, with what is in it."""

    kind: Literal["uploaded"] = "uploaded"
    name: str
    format: DatasetFormat
    bytes: int
    sha256: str
    rows: int = Field(description="Of a table; of arrays the longest first axis.")
    columns: list[Column]
    target: str | None = Field(description="The column that is to be predicted.")
    created_by: str
    created_at: datetime


Dataset = Annotated[BuiltinDataset | UploadedDataset, Field(discriminator="kind")]


class DatasetPage(BaseModel):
    """A part of a long list."""

    items: list[Dataset]
    next: str | None = Field(description="Pass it as `after` for the following page; null on the last one.")


class Artifact(BaseModel):
    """A file that an attempt at a run left behind."""

    id: str
    run: int
    attempt: int
    kind: ArtifactKind
    name: str
    media_type: str
    bytes: int
    sha256: str
    created_at: datetime


class Checkpoint(BaseModel):
    """What an attempt saved on the way, after `step`."""

    checkpoint: str = Field(description="Its name: `assay:...` for what was uploaded, else the address that was given.")
    step: float | None


def _an_address(uri: str) -> str:
    if "://" not in uri or not uri.isprintable():
        raise ValueError("must be an address like s3://bucket/file")
    if uri.startswith(UPLOADED):
        raise ValueError(f"{UPLOADED} is the service's own: send the file itself as the body")
    return uri


Address = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_an_address)]


class CheckpointElsewhere(BaseModel):
    """A checkpoint that its worker keeps somewhere: the service remembers where."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=64)
    uri: Address
    step: float | None = Field(None, ge=0, allow_inf_nan=False)


def uploaded(row: models.Dataset) -> UploadedDataset:
    return UploadedDataset(
        name=row.name,
        format=DatasetFormat(row.format),
        bytes=row.bytes,
        sha256=row.sha256,
        rows=row.rows,
        columns=[Column(**column) for column in row.columns],
        target=row.target,
        created_by=row.created_by,
        created_at=row.created_at,
    )


def artifact(row: models.Artifact) -> Artifact:
    return Artifact(
        id=str(row.id),
        run=row.run,
        attempt=row.attempt,
        kind=ArtifactKind(row.kind),
        name=row.name,
        media_type=row.media_type,
        bytes=row.bytes,
        sha256=row.sha256,
        created_at=row.created_at,
    )
