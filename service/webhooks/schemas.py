"""Webhooks as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from service import models
from service.webhooks.messages import DEFAULT_EVENTS, EVENTS, PING
from service.webhooks.targets import LONGEST_URL

SHORTEST_SECRET = 16
LONGEST_SECRET = 128

EventType = Literal[EVENTS]  # type: ignore[valid-type]  # the very texts of the table
State = Literal["pending", "sending", "delivered", "failed"]


def _each_once(events: list[str]) -> list[str]:
    return list(dict.fromkeys(events))


Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_URL,
        description="Where to send: https or http, any port, no user name or password in it.",
        examples=["https://ci.example.org/hooks/assay"],
    ),
]
Events = Annotated[
    list[EventType],
    Field(min_length=1, max_length=100, description="What to tell of."),
    AfterValidator(_each_once),
]
StudyFilter = Annotated[
    str,
    Field(min_length=1, max_length=128, description="Only of the study with this name, which may come later."),
]
Secret = Annotated[
    str,
    Field(
        min_length=SHORTEST_SECRET,
        max_length=LONGEST_SECRET,
        pattern=r"^[\x21-\x7e]+$",
        description="What requests are signed with, in printable ASCII.",
    ),
]


class WebhookCreate(BaseModel):
    """A webhook: where to tell of what. Without a `secret` the service makes one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"url": "https://ci.example.org/hooks/assay", "events": ["study.completed", "study.failed"]}]
        },
    )

    url: Url
    events: Events = list(DEFAULT_EVENTS)
    study: StudyFilter | None = Field(None, description="Only of the study with this name, which may come later.")
    secret: Secret | None = None
    active: StrictBool = True


class WebhookChange(BaseModel):
    """What is to change; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    events: Events | None = None
    study: StudyFilter | None = Field(None, description="Only of this study; null for all of them.")
    secret: Secret | None = None
    active: StrictBool | None = Field(
        None, description="false: nothing is sent, also not what waits. true: from now on."
    )


class Webhook(BaseModel):
    """A webhook, without its secret. One that was turned off by the service has `failing_since`."""

    id: int
    url: str
    events: list[str]
    study: str | None
    active: bool
    failing_since: datetime | None = Field(description="The first failure after the last delivery that arrived.")
    created_by: str
    created_at: datetime


class NewWebhook(Webhook):
    """A webhook with its secret, which is shown this one time."""

    secret: str


class Delivery(BaseModel):
    """One event for one webhook, and what came of it."""

    number: int
    id: str = Field(description="The same however often it is tried, for receivers: `id` of the message.")
    event: str = Field(examples=["study.completed", PING])
    study: str | None
    seq: int | None = Field(description="The event's number in its study.")
    state: State = Field(description="`pending`: to be sent at `due_at`. `failed`: not tried any more.")
    attempts: int
    status: int | None = Field(description="The HTTP status of the last answer.")
    error: str | None = Field(description="Why the last attempt failed.")
    created_at: datetime
    due_at: datetime | None
    delivered_at: datetime | None


def webhook(row: models.Webhook) -> Webhook:
    return Webhook(**_fields(row))


def new_webhook(row: models.Webhook) -> NewWebhook:
    return NewWebhook(**_fields(row), secret=row.secret)


def delivery(row: models.Delivery) -> Delivery:
    state: Any = row.state
    return Delivery(
        number=row.id,
        id=row.payload["id"],
        event=row.event,
        study=row.study or None,
        seq=row.seq or None,
        state=state,
        attempts=row.attempts,
        status=row.status,
        error=row.error,
        created_at=row.created_at,
        due_at=row.due_at if row.state == "pending" else None,
        delivered_at=row.delivered_at,
    )


def _fields(row: models.Webhook) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "events": row.events,
        "study": row.study,
        "active": row.active,
        "failing_since": row.failing_since,
        "created_by": row.created_by,
        "created_at": row.created_at,
    }
