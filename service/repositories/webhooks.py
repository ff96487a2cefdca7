"""Webhooks and their deliveries: a project's own, what an event leaves to be sent, and what is due."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Delivery, Event, Json, Project, Study, Webhook, utcnow
from service.repositories.errors import NotFound
from service.webhooks.messages import PING, message

PENDING, SENDING, DELIVERED, FAILED = "pending", "sending", "delivered", "failed"
UNSENT = (PENDING, SENDING)

OFF = "the webhook was turned off"


class Webhooks:
    """The webhooks of one project. Nobody gets at another project's through here."""

    def __init__(self, session: Session, project_id: int) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, **values: Any) -> Webhook:
        webhook = Webhook(project_id=self.project_id, **values)
        self.session.add(webhook)
        self.session.flush()
        return webhook

    def get(self, webhook_id: int, *, lock: bool = False) -> Webhook:
        """Raises NotFound."""
        query = self._all.where(Webhook.id == webhook_id)
        webhook = self.session.scalar(query.with_for_update(key_share=True) if lock else query)
        if webhook is None:
            raise NotFound(f"there is no webhook {webhook_id}")
        return webhook

    def page(self, limit: int, after: int | None = None) -> Sequence[Webhook]:
        """Oldest first; `after` is the id of the last one of the page before."""
        query = self._all.order_by(Webhook.id).limit(limit)
        return self.session.scalars(query if after is None else query.where(Webhook.id > after)).all()

    def count(self) -> int:
        query = sa.select(sa.func.count()).select_from(Webhook).where(Webhook.project_id == self.project_id)
        return self.session.scalar(query) or 0

    def turn_off(self, webhook: Webhook) -> None:
        """What was not sent yet is not sent any more. The row is locked by the caller."""
        webhook.active = False
        Deliveries(self.session, webhook).give_up(OFF)

    def remove(self, webhook: Webhook) -> None:
        """With all its deliveries."""
        self.session.delete(webhook)

    def ping(self, webhook: Webhook, project: str) -> Delivery:
        """A delivery that speaks of no event."""
        return Deliveries(self.session, webhook).add(message(PING, project, utcnow(), study=webhook.study))

    @property
    def _all(self) -> sa.Select[Webhook]:
        return sa.select(Webhook).where(Webhook.project_id == self.project_id)


class Deliveries:
    """The deliveries of one webhook."""

    def __init__(self, session: Session, webhook: Webhook) -> None:
        self.session = session
        self.webhook = webhook

    def add(self, payload: Json) -> Delivery:
        delivery = _delivery(self.webhook.id, payload)
        self.session.add(delivery)
        self.session.flush()
        return delivery

    def get(self, number: int, *, lock: bool = False) -> Delivery:
        """Raises NotFound."""
        query = self._all.where(Delivery.id == number)
        delivery = self.session.scalar(query.with_for_update() if lock else query)
        if delivery is None:
            raise NotFound(f"webhook {self.webhook.id} has no delivery {number}")
        return delivery

    def page(self, limit: int, after: int | None = None, state: str | None = None) -> Sequence[Delivery]:
        """Newest first; `after` is the number of the last one of the page before."""
        query = self._all.order_by(Delivery.id.desc()).limit(limit)
        if after is not None:
            query = query.where(Delivery.id < after)
        return self.session.scalars(query if state is None else query.where(Delivery.state == state)).all()

    def repeat(self, delivery: Delivery) -> None:
        """To be sent as if it were new."""
        delivery.state, delivery.attempts, delivery.due_at = PENDING, 0, utcnow()
        delivery.status = delivery.error = delivery.delivered_at = None

    def give_up(self, why: str) -> None:
        """Nothing that waits is sent any more; what is being sent just now comes to its end."""
        waiting = sa.update(Delivery).where(Delivery.webhook_id == self.webhook.id, Delivery.state == PENDING)
        self.session.execute(waiting.values(state=FAILED, error=why))

    @property
    def _all(self) -> sa.Select[Delivery]:
        return sa.select(Delivery).where(Delivery.webhook_id == self.webhook.id)


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is this process's to send. `attempt` counts from 1, and fences off processes that were late."""

    id: int
    attempt: int
    webhook: int
    url: str
    secret: str
    active: bool
    payload: Json


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a webhook with the end of an attempt: whether it was turned off because nothing arrived."""

    turned_off: bool
    webhook: Webhook


class Outbox:
    """What is to be sent, of all projects: for those who write events, and for those who send."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def post(self, study: Study, event: Event) -> None:
        """Leaves an event to be sent to every webhook that wants it: if the transaction is stored, and only then."""
        # The rows are held until then: a webhook that is removed meanwhile must not make the study's transaction fail.
        query = (
            sa.select(Webhook, Project.name)
            .join(Project, Project.id == Webhook.project_id)
            .where(Webhook.project_id == study.project_id, Webhook.active)
            .where(Webhook.study.is_(None) | (Webhook.study == study.name))
            .order_by(Webhook.id)
            .with_for_update(read=True, key_share=True, of=Webhook)
        )
        for webhook, project in self.session.execute(query, execution_options={"autoflush": False}):
            if event.type in webhook.events:
                payload = message(
                    event.type,
                    project,
                    event.created_at,
                    study=study.name,
                    seq=event.seq,
                    run=event.run,
                    trial=event.trial,
                    data=event.data,
                )
                self.session.add(_delivery(webhook.id, payload))

    def due(self, now: datetime, most_each: int) -> Sequence[tuple[int, int]]:
        """What is to be sent by now, as (delivery, webhook): the first ones of every webhook, fairly mixed."""
        place = sa.func.row_number().over(partition_by=Delivery.webhook_id, order_by=(Delivery.due_at, Delivery.id))
        found = sa.select(Delivery.id, Delivery.webhook_id, place.label("place")).where(*_due(now)).subquery()
        query = sa.select(found.c.id, found.c.webhook_id).where(found.c.place <= most_each)
        return [(id_, webhook) for id_, webhook in self.session.execute(query.order_by(found.c.place, found.c.id))]

    def claim(self, ids: Collection[int], now: datetime, until: datetime) -> Sequence[Due]:
        """Takes those of these deliveries that nobody was faster to take. They are due again at `until`, should this
        process not come back."""
        query = (
            sa.select(Delivery, Webhook)
            .join(Webhook, Webhook.id == Delivery.webhook_id)
            .where(Delivery.id.in_(ids), *_due(now))
            .order_by(Delivery.id)
            .with_for_update(skip_locked=True, of=Delivery)
        )
        claimed = []
        for delivery, webhook in self.session.execute(query):
            delivery.state, delivery.due_at, delivery.attempts = SENDING, until, delivery.attempts + 1
            claimed.append(
                Due(
                    id=delivery.id,
                    attempt=delivery.attempts,
                    webhook=webhook.id,
                    url=webhook.url,
                    secret=webhook.secret,
                    active=webhook.active,
                    payload=delivery.payload,
                )
            )
        return claimed

    def settle(
        self,
        due: Due,
        now: datetime,
        *,
        status: int | None,
        error: str | None,
        again: timedelta | None,
        give_up: timedelta,
    ) -> Settled | None:
        """Stores what came of an attempt: `error` says that it failed, `again` when to try again, if at all.

        None when the delivery is not this process's any more, or is gone.
        """
        held = sa.select(Webhook).where(Webhook.id == due.webhook).with_for_update(key_share=True)
        webhook = self.session.scalar(held)
        mine = (Delivery.id == due.id, Delivery.state == SENDING, Delivery.attempts == due.attempt)
        delivery = self.session.scalar(sa.select(Delivery).where(*mine).with_for_update())
        if webhook is None or delivery is None:
            return None
        delivery.status, delivery.error = status, error
        if error is None:
            delivery.state, delivery.delivered_at, delivery.due_at = DELIVERED, now, now
            webhook.failing_since = None
            return Settled(turned_off=False, webhook=webhook)
        webhook.failing_since = webhook.failing_since or now
        hopeless = webhook.active and now - webhook.failing_since >= give_up
        if hopeless:
            Webhooks(self.session, webhook.project_id).turn_off(webhook)
        delivery.state = PENDING if again and webhook.active else FAILED
        delivery.due_at = now + again if again else now
        return Settled(turned_off=hopeless, webhook=webhook)

    def prune(self, before: datetime) -> int:
        """Forgets what was sent, or given up, before that moment. Answers how many deliveries that were."""
        old = sa.delete(Delivery).where(Delivery.state.in_((DELIVERED, FAILED)), Delivery.due_at < before)
        return int(self.session.execute(old).rowcount)  # type: ignore[attr-defined]  # a delete has one


def _due(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return Delivery.state.in_(UNSENT), Delivery.due_at <= now


def _delivery(webhook_id: int, payload: Json) -> Delivery:
    return Delivery(
        webhook_id=webhook_id,
        study=payload["study"] or "",
        seq=payload["seq"] or 0,
        event=payload["type"],
        payload=payload,
        state=PENDING,
    )
