"""The JSON of projects, tokens and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.auth.callers import Scope
from service.study_parts import WHOLE, Name, Values

MOST = 2**31 - 1

Limit = Annotated[int | None, Field(ge=0, le=MOST), WHOLE]
GpuLimit = Annotated[float | None, Field(ge=0, le=MOST, allow_inf_nan=False)]


class Limits(BaseModel):
    """What a project may have at once; null is no limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max_runs: Limit = Field(None, description="Runs under way.")
    max_gpus: GpuLimit = Field(None, description="GPUs that they hold.")
    max_studies: Limit = Field(None, description="Open studies: those that have not ended.")


class ProjectCreate(Limits):
    name: Name


class Project(BaseModel):
    """Owns studies, datasets, webhooks and tokens."""

    name: str
    max_runs: int | None
    max_gpus: float | None
    max_studies: int | None
    created_at: datetime


class Usage(BaseModel):
    """What a project has just now."""

    project: str
    studies: int
    open_studies: int = Field(description="Those that have not ended.")
    runs: int = Field(description="Runs under way.")
    gpus: float = Field(description="GPUs that they hold.")
    datasets: int
    webhooks: int
    tokens: int = Field(description="Tokens for this project alone that were not revoked.")


class TokenCreate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Whose it is, or what for: the audit log shows it.",
        examples=["ci"],
    )
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(
        min_length=1,
        max_length=len(Scope),
        description="`write` and `worker` include `read`; `admin` includes everything.",
    )
    project: Name | None = Field(None, description="Only good for this project; null is for all of them.")
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        None, description="When it ends by itself, with its zone; null is never.", examples=["2030-01-01T00:00:00Z"]
    )


class Token(BaseModel):
    """What is known of a token; nobody has its secret but its owner."""

    id: int
    name: str
    handle: str = Field(description="The part of the token that is no secret: assay_<handle>_...")
    scopes: list[Scope]
    project: str | None = Field(description="Null for a token that is good for all projects.")
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None = Field(description="When it was used last, to the minute.")


class NewToken(Token):
    token: str = Field(description="The secret. It is shown this once and cannot be had again.")


class AuditEntry(BaseModel):
    """Somebody changed something, or was turned away."""

    id: int
    project: str | None = Field(description="Null where it was of none, or of one that has been deleted.")
    actor: str
    action: str = Field(examples=["study.pause"])
    target: str = Field(description="The name of what it was done to.")
    detail: Values
    address: str | None
    created_at: datetime


class Me(BaseModel):
    """Who asks, as the service sees it."""

    actor: str
    project: str = Field(description="The project of this request.")
    projects: list[str] | None = Field(
        description="All projects of this token; null where it is good for all there are."
    )
    scopes: list[Scope]
    auth: bool = Field(description="Whether the service asks for tokens at all.")
