"""What an operator may set: by environment variables (`ASSAY_PORT=8080`) or by the options of `assay up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.database import sqlite_url
from service.explain import problems_of

PREFIX = "ASSAY_"


class SettingsInvalid(ValueError):
    """A setting is wrong; the message names every one of them as its environment variable."""


def _embedded(values: dict[str, Any]) -> str:
    return sqlite_url(values["data_dir"].resolve() / "assay.db")


class Settings(BaseSettings):
    """The settings of one process. Read them with `load_settings`, which has the better error messages."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    data_dir: Path = Field(Path("assay-data"), description="The embedded database and the checkpoints.")
    database_url: str = Field(
        default_factory=_embedded, description="postgresql://user:password@host/name, or SQLite in the data directory."
    )
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on; 0.0.0.0 for all.")
    port: int = Field(8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    role: Literal["all", "api", "dispatcher"] = Field("all", description="What this process does.")
    pool: Literal["ray", "local"] = Field("ray", description="Where runs execute.")
    workers: int | None = Field(None, ge=1, description="How many runs at once; one per CPU when not set.")
    ray_address: str | None = Field(None, description="A running Ray cluster; a local one is started when not set.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, `overrides` first; None overrides nothing. Raises SettingsInvalid."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = problems_of(error.errors(), Settings)
        lines = [f"{PREFIX}{problem.location.upper()}: {problem.message}" for problem in problems]
        raise SettingsInvalid("; ".join(lines)) from error
