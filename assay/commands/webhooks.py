"""`assay webhook ...` and `assay events`: what happens to studies, told to other programs."""

from __future__ import annotations

import json as jsonlib
import time
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from assay import view
from assay.client import Client
from assay.commands.common import AsJson, Name, Url, connect, print_json, stdout
from assay.exit_codes import ExitCode
from assay.wire import Delivery, Event, Webhook

_PATIENCE = 30.0  # seconds; an attempt takes ten at most
_PAUSE = 0.2


class State(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


app = typer.Typer(no_args_is_help=True, help="Tell other programs what happens to studies.")

Id = Annotated[int, typer.Argument(metavar="ID", min=0, help="The webhook's id.", show_default=False)]


@app.command()
def create(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where to send.", show_default=False)],
    event: Annotated[
        list[str] | None,
        typer.Option(help="What to tell of; may be given many times.", show_default="how studies end"),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Only of this study.", show_default="all of them")] = None,
    secret: Annotated[
        str | None,
        typer.Option(envvar="ASSAY_WEBHOOK_SECRET", help="Sign with this.", show_default="the service makes one"),
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Create a webhook and print its id and its secret, which is not shown again."""
    with connect(url) as client:
        created = client.webhooks.create(address, events=event, study=study, secret=secret)
    if json:
        print_json(created)
    else:
        typer.echo(f"id:     {created['id']}\nsecret: {created['secret']}")


@app.command("list")
def list_(json: AsJson = False, url: Url = None) -> None:
    """List the webhooks."""
    with connect(url) as client:
        found = list(client.webhooks.list())
    if json:
        print_json(found)
    else:
        view.print_table(stdout(), ("id", "state", "study", "events", "address"), map(_row, found))


@app.command()
def delete(webhook: Id, url: Url = None) -> None:
    """Delete a webhook; what waits to be sent is not sent any more."""
    with connect(url) as client:
        client.webhooks.delete(webhook)
    typer.echo(f"webhook {webhook} is deleted", err=True)


@app.command()
def enable(webhook: Id, url: Url = None) -> None:
    """Turn a webhook on, from now on."""
    _turn(webhook, url, active=True)


@app.command()
def disable(webhook: Id, url: Url = None) -> None:
    """Turn a webhook off; what waits to be sent is given up."""
    _turn(webhook, url, active=False)


@app.command("test")
def ping(webhook: Id, json: AsJson = False, url: Url = None) -> None:
    """Send a ping and tell what came of it; the exit code is 1 if it did not arrive."""
    with connect(url) as client:
        sent = _outcome(client, webhook, client.webhooks.test(webhook))
    if json:
        print_json(sent)
    else:
        typer.echo(_told(sent))
    raise typer.Exit(ExitCode.OK if sent["state"] == "delivered" else ExitCode.ERROR)


@app.command()
def deliveries(
    webhook: Id,
    state: Annotated[State | None, typer.Option(help="Only those in this state.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """List what was sent, and what waits to be sent, newest first."""
    with connect(url) as client:
        found = list(islice(client.webhooks.deliveries(webhook, state=state.value if state else None), limit))
    if json:
        print_json(found)
        return
    columns = ("number", "event", "study", "seq", "state", "attempts", "status", "created", "error")
    view.print_table(
        stdout(),
        columns,
        (
            (
                str(one["number"]),
                one["event"],
                one["study"] or "",
                view.number(one["seq"]),
                view.state(one["state"]),
                str(one["attempts"]),
                view.number(one["status"]),
                one["created_at"],
                one["error"] or "",
            )
            for one in found
        ),
    )


@app.command()
def redeliver(
    webhook: Id,
    number: Annotated[int, typer.Argument(min=0, help="The delivery's number.", show_default=False)],
    url: Url = None,
) -> None:
    """Send a delivery again, at once."""
    with connect(url) as client:
        client.webhooks.redeliver(webhook, number)
    typer.echo(f"delivery {number} is sent again", err=True)


def events(
    name: Name,
    after: Annotated[int, typer.Option(min=0, help="Only those that follow this one.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, as the API gives it.")] = False,
    url: Url = None,
) -> None:
    """List what has happened in a study, oldest first: one event per line."""
    with connect(url) as client:
        for event in islice(client.studies.recorded(name, after=after), limit):
            typer.echo(jsonlib.dumps(event, ensure_ascii=False) if json else _line(event))


def _turn(webhook: int, url: str | None, *, active: bool) -> None:
    with connect(url) as client:
        client.webhooks.change(webhook, active=active)
    typer.echo(f"webhook {webhook} is turned {'on' if active else 'off'}", err=True)


def _outcome(client: Client, webhook: int, sent: Delivery) -> Delivery:
    """The delivery when its first attempt has ended, or when nobody has tried for long."""
    until = time.monotonic() + _PATIENCE
    while _waits(sent) and time.monotonic() < until:
        time.sleep(_PAUSE)
        sent = client.webhooks.delivery(webhook, sent["number"])
    return sent


def _waits(sent: Delivery) -> bool:
    return sent["state"] == "sending" or (sent["state"] == "pending" and sent["attempts"] == 0)


def _told(sent: Delivery) -> str:
    if sent["state"] == "delivered":
        return f"delivered, answered {sent['status']}"
    if _waits(sent):
        return "not sent yet; is a dispatcher running?"
    again = f"; it is tried again at {sent['due_at']}" if sent["due_at"] else ""
    return f"not delivered: {sent['error']}{again}"


def _row(webhook: Webhook) -> tuple[str, ...]:
    state = "on" if webhook["active"] else "off"
    if webhook["failing_since"]:
        state += f", failing since {webhook['failing_since']}"
    return str(webhook["id"]), state, webhook["study"] or "", " ".join(webhook["events"]), webhook["url"]


def _line(event: Event) -> str:
    where = [f"{name} {event[name]}" for name in ("trial", "run") if event[name] is not None]
    data = [jsonlib.dumps(event["data"], ensure_ascii=False)] if event["data"] else []
    return " ".join([str(event["seq"]), event["created_at"], event["type"], *where, *data])
