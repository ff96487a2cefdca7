"""Webhooks: where a project's studies tell of what happens to them."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response

from service import schemas
from service.auth.audit import audit
from service.auth.callers import Writer
from service.idempotency import Once
from service.problems import QUOTA, Kind, Refused, documented
from service.repositories.webhooks import SENDING, Deliveries, Webhooks
from service.routes.body import StrictJsonRoute
from service.routes.parameters import MAX_ID, MAX_NUMBER, After, AfterReport, DatabaseOfApp, Limit, cut
from service.webhooks.schemas import (
    Delivery,
    NewWebhook,
    State,
    Webhook,
    WebhookChange,
    WebhookCreate,
    delivery,
    new_webhook,
    webhook,
)
from service.webhooks.targets import Guard, TargetRefused
from spaces.errors import InvalidInput, Problem

# All of it needs the scope `write`, reading too: the address of a webhook often is a secret itself.
router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=StrictJsonRoute)

MOST = 50
"""A project may have so many; every event is stored once for each that wants it."""
SECRET_BYTES = 32

TURNED_OFF = Kind("urn:assay:webhook-off", 409, "The webhook is turned off")
UNDER_WAY = Kind("urn:assay:delivery-under-way", 409, "The delivery is being sent")

WebhookId = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="The webhook's `id`.")]
DeliveryNumber = Annotated[int, Path(ge=0, le=MAX_ID, description="The delivery's `number`.")]
InState = Annotated[State | None, Query(description="Only those in this state.")]


@router.post("", status_code=201, summary="Create a webhook", responses=documented(400, 409, 413, 415, 422))
def create_webhook(
    given: Annotated[WebhookCreate, Body()],
    caller: Writer,
    database: DatabaseOfApp,
    request: Request,
    response: Response,
    once: Once,
) -> NewWebhook:
    """The answer holds the secret that requests are signed with; it is not shown again."""
    _check(request, given.url)
    with once.transaction(database) as session:
        webhooks = Webhooks(session, caller.project_id)
        if webhooks.count() >= MOST:
            raise Refused(QUOTA, f"a project has at most {MOST} webhooks; delete one first")
        row = webhooks.add(
            url=given.url,
            events=given.events,
            study=given.study,
            secret=given.secret or secrets.token_urlsafe(SECRET_BYTES),
            active=given.active,
            created_by=caller.actor,
        )
        audit(session, caller, "webhook.create", str(row.id), {"url": row.url, "events": row.events})
        created = new_webhook(row)
        headers = {"Location": request.url_for("get_webhook", webhook_id=created.id).path}
        once.keep(session, created, 201, headers)
    response.headers.update(headers)
    return created


@router.get("", summary="List the webhooks", responses=documented(422))
def list_webhooks(
    caller: Writer, database: DatabaseOfApp, limit: Limit = 100, after: After = None
) -> schemas.Page[Webhook]:
    """Oldest first."""
    with database.session(write=False) as session:
        rows, next_ = cut(Webhooks(session, caller.project_id).page(limit + 1, after), limit, lambda row: row.id)
        return schemas.Page[Webhook](items=[webhook(row) for row in rows], next=next_)


@router.get("/{webhook_id}", summary="Look at a webhook", responses=documented(404, 422))
def get_webhook(webhook_id: WebhookId, caller: Writer, database: DatabaseOfApp) -> Webhook:
    with database.session(write=False) as session:
        return webhook(Webhooks(session, caller.project_id).get(webhook_id))


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    responses=documented(400, 404, 413, 415, 422),
)
def change_webhook(
    webhook_id: WebhookId,
    change: Annotated[WebhookChange, Body()],
    caller: Writer,
    database: DatabaseOfApp,
    request: Request,
) -> Webhook:
    """What waits to be sent goes where the webhook goes now, signed with the secret that it has now.

    Turning it off gives up what waits; what happens while it is off is not told later.
    """
    if change.url is not None:
        _check(request, change.url)
    with database.session() as session:
        webhooks = Webhooks(session, caller.project_id)
        row = webhooks.get(webhook_id, lock=True)
        if "study" in change.model_fields_set:
            row.study = change.study
        row.url = change.url or row.url
        row.events = change.events or row.events
        row.secret = change.secret or row.secret
        if change.active:
            row.active, row.failing_since = True, None
        elif change.active is False:
            webhooks.turn_off(row)
        said = change.model_dump(exclude_unset=True, exclude={"secret"})
        if change.secret is not None:
            said["secret"] = "changed"
        audit(session, caller, "webhook.change", str(row.id), said)
        return webhook(row)


@router.delete(
    "/{webhook_id}",
    status_code=204,
    summary="Delete a webhook",
    responses=documented(404, 422),
)
def delete_webhook(webhook_id: WebhookId, caller: Writer, database: DatabaseOfApp) -> None:
    """With its deliveries; what waits is not sent any more."""
    with database.session() as session:
        webhooks = Webhooks(session, caller.project_id)
        row = webhooks.get(webhook_id)
        audit(session, caller, "webhook.delete", str(row.id), {"url": row.url})
        webhooks.remove(row)


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    summary="Test a webhook",
    responses=documented(404, 409, 422),
)
def test_webhook(webhook_id: WebhookId, caller: Writer, database: DatabaseOfApp, once: Once) -> Delivery:
    """Sends a `ping`, the way everything is sent; look at the delivery for what came of it."""
    with once.transaction(database) as session:
        webhooks = Webhooks(session, caller.project_id)
        row = webhooks.get(webhook_id, lock=True)
        _must_be_on(row.active)
        audit(session, caller, "webhook.test", str(row.id))
        sent = delivery(webhooks.ping(row, caller.project))
        once.keep(session, sent, 202)
    return sent


@router.get("/{webhook_id}/deliveries", summary="List a webhook's deliveries", responses=documented(404, 422))
def list_deliveries(
    webhook_id: WebhookId,
    caller: Writer,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: AfterReport = None,
    state: InState = None,
) -> schemas.Page[Delivery]:
    """Newest first; those that came to their end are kept for 30 days."""
    with database.session(write=False) as session:
        owner = Webhooks(session, caller.project_id).get(webhook_id)
        rows, next_ = cut(Deliveries(session, owner).page(limit + 1, after, state), limit, lambda row: row.id)
        return schemas.Page[Delivery](items=[delivery(row) for row in rows], next=next_)


@router.get("/{webhook_id}/deliveries/{number}", summary="Look at a delivery", responses=documented(404, 422))
def get_delivery(webhook_id: WebhookId, number: DeliveryNumber, caller: Writer, database: DatabaseOfApp) -> Delivery:
    with database.session(write=False) as session:
        return delivery(Deliveries(session, Webhooks(session, caller.project_id).get(webhook_id)).get(number))


@router.post(
    "/{webhook_id}/deliveries/{number}/redeliver",
    status_code=202,
    summary="Send a delivery again",
    responses=documented(404, 409, 422),
)
def redeliver(webhook_id: WebhookId, number: DeliveryNumber, caller: Writer, database: DatabaseOfApp) -> Delivery:
    """At once, with the same `id`, whatever became of it before; if it fails, it is tried again as a new one is."""
    with database.session() as session:
        owner = Webhooks(session, caller.project_id).get(webhook_id, lock=True)
        _must_be_on(owner.active)
        deliveries = Deliveries(session, owner)
        row = deliveries.get(number, lock=True)
        if row.state == SENDING:
            raise Refused(UNDER_WAY, f"delivery {number} is being sent just now; wait for what comes of it")
        deliveries.repeat(row)
        audit(session, caller, "webhook.redeliver", str(owner.id), {"delivery": number})
        return delivery(row)


def _check(request: Request, url: str) -> None:
    try:
        Guard(request.app.state.settings.webhooks_allow_private).check(url)
    except TargetRefused as error:
        raise InvalidInput([Problem(("url",), str(error))]) from error


def _must_be_on(active: bool) -> None:
    if not active:
        raise Refused(TURNED_OFF, "nothing is sent while the webhook is turned off; set active to true first")
