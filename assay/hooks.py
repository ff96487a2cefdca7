"""What a client can do with webhooks: one method per route of the API. `assay.webhooks` is for their receivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from assay.http import API, Connection
from assay.wire import Delivery, DeliveryState, NewWebhook, Webhook


class Webhooks:
    """The webhooks of a project. Methods raise `NotFound` for an id that the project does not have."""

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def create(
        self,
        url: str,
        *,
        events: Sequence[str] | None = None,
        study: str | None = None,
        secret: str | None = None,
    ) -> NewWebhook:
        """Has the service tell `url` of events; the answer holds the secret, this one time.

        Without `events` it is told how studies end; without `study`, of all of them. Raises `Invalid`.
        """
        given = {"url": url, "events": events and list(events), "study": study, "secret": secret}
        body = {name: value for name, value in given.items() if value is not None}
        return cast(NewWebhook, self._http.post(f"{API}webhooks", body))

    def list(self) -> Iterator[Webhook]:
        return self._http.pages(f"{API}webhooks")

    def get(self, webhook: int) -> Webhook:
        return cast(Webhook, self._http.get(_path(webhook)))

    def change(self, webhook: int, **changes: Any) -> Webhook:
        """Changes `url`, `events`, `study`, `secret` or `active`. Raises `Invalid`."""
        return cast(Webhook, self._http.patch(_path(webhook), changes))

    def delete(self, webhook: int) -> None:
        self._http.delete(_path(webhook))

    def test(self, webhook: int) -> Delivery:
        """Sends a ping; `delivery` tells what came of it. Raises `Conflict` when the webhook is turned off."""
        return cast(Delivery, self._http.post(_path(webhook, "test")))

    def deliveries(self, webhook: int, *, state: DeliveryState | None = None) -> Iterator[Delivery]:
        """What was sent, and what waits; newest first."""
        return self._http.pages(_path(webhook, "deliveries"), state=state)

    def delivery(self, webhook: int, number: int) -> Delivery:
        return cast(Delivery, self._http.get(_path(webhook, "deliveries", number)))

    def redeliver(self, webhook: int, number: int) -> Delivery:
        """Sends it again, at once. Raises `Conflict` while it is being sent, or when the webhook is turned off."""
        return cast(Delivery, self._http.post(_path(webhook, "deliveries", number, "redeliver")))


def _path(webhook: int, *rest: str | int) -> str:
    return API + "/".join(map(str, ("webhooks", webhook, *rest)))
