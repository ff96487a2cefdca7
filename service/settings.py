"""What an operator may set, with the meaning of every setting. `service.settings_sources` reads them from where they
are set: options of `assay up`, the environment (`ASSAY_PORT=8080`), a file.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from service.database import DatabaseError, parse_url, sqlite_url
from spaces.errors import InvalidInput, Problem

SHORTEST_TOKEN = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DEFAULT_RATE = 1000.0

_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")


def _embedded(values: dict[str, Any]) -> str:
    return sqlite_url(values["data_dir"].resolve() / "assay.db")


def _listed(value: object) -> object:
    """Environment variables give lists as texts: `one, two`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _HOST.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a host; write example.org, *.example.org or * for any")
    return tuple(name.lower() for name in names)


def _long_enough(token: SecretStr | None) -> SecretStr | None:
    if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(
            f"must have at least {SHORTEST_TOKEN} characters; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def _database_url(url: str) -> str:
    try:
        parse_url(url)
    except DatabaseError as error:
        raise ValueError(str(error)) from error
    return url


def _http_url(url: str | None) -> str | None:
    if url is not None and not re.match(r"https?://[^/\s]+", url):
        raise ValueError(f"must be an http:// or https:// address, got {url!r}")
    return url.rstrip("/") if url else url


class Settings(BaseModel):
    """The settings of one process. Values that contradict each other are refused too (see `conflicts`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)

    # What runs, and where
    role: Literal["all", "api", "dispatcher"] = Field("all", description="What this process does.")
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on; `0.0.0.0` for all.")
    port: int = Field(8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    api_workers: int = Field(
        1,
        ge=1,
        le=64,
        description="How many processes answer requests; more than one for the role `api` on PostgreSQL.",
    )
    data_dir: Path = Field(Path("assay-data"), description="The embedded database, checkpoints, logs and artifacts.")
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        default_factory=_embedded,
        min_length=1,
        repr=False,  # it may hold a password
        description="`postgresql://user:password@host/name`, or `sqlite:///path`; SQLite in the data directory when "
        "not set.",
    )
    artifacts_url: str | None = Field(
        None,
        min_length=1,
        description="Where artifacts are kept: a folder, or an address for fsspec such as `s3://bucket/prefix`; "
        "`artifacts` in the data directory when not set.",
    )

    # How runs execute
    pool: Literal["ray", "local"] = Field("ray", description="Where runs execute: on Ray, or in this process.")
    workers: int | None = Field(None, ge=1, description="How many runs at once; one per CPU when not set.")
    ray_address: str | None = Field(
        None, min_length=1, description="A running Ray cluster (`host:port` or `auto`); a local one when not set."
    )
    ray_object_store_bytes: int = Field(
        500_000_000, ge=80_000_000, description="The shared memory of a local Ray at most, in bytes."
    )
    ray_idle_seconds: float = Field(
        300.0,
        gt=0,
        description="After so many seconds without work a warm worker is let go, on the cluster of `ray_address`, so "
        "that an autoscaler can take its node away.",
    )
    drain_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="How long runs have to save where they are and give way when the dispatcher is asked to end.",
    )
    lease_seconds: float = Field(
        15.0, ge=1, le=3600, description="After so many seconds of silence another dispatcher takes over a study."
    )
    heartbeat_seconds: float | None = Field(
        None,
        gt=0,
        description="How often a dispatcher renews its leases, in seconds; a third of `lease_seconds` when not set.",
    )
    allow_commands: bool | None = Field(
        None,
        description="Whether studies may run commands of their own on the workers; when not set, only where the "
        "service listens on a loopback address.",
    )

    # Who may do what
    auth: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether requests need a token. `auto`: not on a loopback address. `off` is refused elsewhere.",
    )
    admin_token: Annotated[SecretStr | None, AfterValidator(_long_enough)] = Field(
        None, description="A token with every right, for the first steps; at least 16 characters."
    )
    trusted_hosts: Annotated[tuple[str, ...] | None, BeforeValidator(_listed), AfterValidator(_host_names)] = Field(
        None,
        description="The names by which browsers and programs may address the service, separated by commas; `*` for "
        "any. When not set: any with auth, else the loopback names.",
    )
    rate_limit: float | None = Field(
        None,
        ge=0,
        description="Requests per second for each token or address, in each process; 0 for no limit. When not set: "
        "1000 with auth, no limit without.",
    )
    max_body_bytes: int = Field(1024**2, ge=1024, description="The largest body of a request, in bytes.")
    max_upload_bytes: int = Field(
        1024**3, ge=1024, description="The largest upload of a dataset or artifact, in bytes."
    )
    webhooks_allow_private: bool = Field(
        False, description="Whether webhooks may go to loopback and private addresses."
    )

    # What it tells
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged, on stderr.")
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or one JSON object per line.")
    access_log: Literal["off", "debug", "info"] = Field("debug", description="The level at which requests are logged.")
    metrics_public: bool = Field(False, description="Whether `/metrics` answers without a token where auth is on.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="A port of its own for `/metrics`, without auth; 0 takes a free one."
    )
    otel_endpoint: Annotated[str | None, AfterValidator(_http_url)] = Field(
        None,
        description="The OpenTelemetry collector that gets traces (OTLP over HTTP), such as `http://127.0.0.1:4318`; "
        "the standard variable `OTEL_EXPORTER_OTLP_ENDPOINT` counts when not set.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if found := conflicts(self):
            raise InvalidInput(found)
        return self

    @property
    def serves_http(self) -> bool:
        return self.role != "dispatcher"

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite."""
        return parse_url(self.database_url).get_backend_name() == "sqlite"

    @property
    def shown_database(self) -> str:
        """The address of the database without its password."""
        url = parse_url(self.database_url)
        return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @property
    def auth_on(self) -> bool:
        return self.auth == "on" or (self.auth == "auto" and not self.loopback)

    @property
    def commands_allowed(self) -> bool:
        return self.loopback if self.allow_commands is None else self.allow_commands

    @property
    def metrics_open(self) -> bool:
        """Whether `/metrics` of the API needs no token."""
        return self.metrics_public or not self.auth_on

    @property
    def allowed_hosts(self) -> tuple[str, ...] | None:
        """The names that the header Host may have, without ports; None for any.

        Without auth a page of any site could otherwise reach the service by a name of its own that it resolves to a
        loopback address (DNS rebinding).
        """
        if self.trusted_hosts is not None:
            return None if "*" in self.trusted_hosts else self.trusted_hosts
        return None if self.auth_on else tuple(dict.fromkeys((*LOOPBACK, self.host.lower())))

    @property
    def requests_per_second(self) -> float | None:
        """The rate limit per token or address; None for none."""
        if self.rate_limit is None:
            return DEFAULT_RATE if self.auth_on else None
        return self.rate_limit or None

    @property
    def renewal_seconds(self) -> float:
        """How often a dispatcher renews its leases."""
        return self.heartbeat_seconds or self.lease_seconds / 3

    @property
    def artifacts(self) -> str:
        """Where artifacts are kept, as an address for fsspec."""
        return self.artifacts_url or str(self.data_dir.resolve() / "artifacts")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def conflicts(settings: Settings) -> list[Problem]:
    """What cannot go together, each as a problem of the setting to change."""
    found = []
    if settings.serves_http and settings.auth == "off" and not settings.loopback:
        found.append(
            Problem(
                ("auth",),
                f"off is refused on {settings.host}, which other machines can reach; leave it on auto, or listen on "
                "127.0.0.1",
            )
        )
    if settings.api_workers > 1:
        if settings.role != "api":
            found.append(Problem(("api_workers",), "more than one needs the role api; start a dispatcher beside it"))
        if settings.embedded:
            found.append(Problem(("api_workers",), "more than one needs PostgreSQL: set database_url"))
    if settings.metrics_port is not None:
        if settings.serves_http and settings.metrics_port == settings.port != 0:
            found.append(Problem(("metrics_port",), f"{settings.port} is the port of the API; choose another one"))
        if not settings.loopback and not settings.metrics_public:
            found.append(
                Problem(
                    ("metrics_port",),
                    f"has no auth, and other machines can reach {settings.host}; set metrics_public to allow that",
                )
            )
    if settings.heartbeat_seconds is not None and settings.heartbeat_seconds > settings.lease_seconds / 2:
        found.append(
            Problem(("heartbeat_seconds",), f"must be at most half of lease_seconds, {settings.lease_seconds / 2:g}")
        )
    return found
