"""From an event to a receiver: what is stored with the event, what is sent, when it is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from assay.webhooks import sign, verify
from service.database import Database
from service.models import DEFAULT_PROJECT, AuditEntry, Delivery, Event, Project, Run, Study, Webhook
from service.repositories.events import Events
from service.repositories.studies import Studies
from service.repositories.webhooks import OFF, Outbox, Webhooks
from service.routes.webhooks import MOST
from service.states import StudyState
from service.webhooks import deliverer as module
from service.webhooks.deliverer import AT_ONCE_EACH, HELD, KEPT, Deliverer
from service.webhooks.messages import EVENTS, PING
from service.webhooks.retries import ATTEMPTS, GIVE_UP, delay
from service.webhooks.sender import MOST_BYTES
from service.webhooks.targets import Guard

SECRET = "a secret for the tests"
PROJECT = 1
DOCS = Path(__file__).parents[2] / "docs" / "events.md"


class Receiver:
    """A real HTTP server that keeps what it is sent and answers as told."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.content = b"thanks"
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.hold: threading.Event | None = None
        self.arrived = threading.Semaphore(0)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((dict(self.headers), content))
                receiver.arrived.release()
                if receiver.hold:
                    receiver.hold.wait(30)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # when the sender has heard enough
                    self.wfile.write(receiver.content)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def events(self) -> list[str]:
        return [json.loads(content)["type"] for _, content in self.received]

    def close(self) -> None:
        if self.hold:
            self.hold.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def new_receiver() -> Iterator[Callable[[], Receiver]]:
    receivers: list[Receiver] = []

    def make() -> Receiver:
        receivers.append(Receiver())
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()


@pytest.fixture
def receiver(new_receiver: Callable[[], Receiver]) -> Receiver:
    return new_receiver()


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC) + timedelta(minutes=1)  # what happens by the real clock is due by then

    def __call__(self) -> datetime:
        return self.time

    def advance(self, by: timedelta) -> None:
        self.time += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


def deliverer_on(database: Database, clock: Clock, **options: Any) -> Deliverer:
    """Waits longer than a busy machine takes, unless told otherwise."""
    return Deliverer(database, Guard(allow_private=True), now=clock, **{"seconds": 60, **options})


def deliver(deliverer: Deliverer) -> int:
    """Sends what is due just now, once; answers how much that was."""

    async def once() -> int:
        found = deliverer.claim(Counter())
        await asyncio.gather(*map(deliverer.deliver, found))
        return len(found)

    return asyncio.run(once())


def add_study(database: Database, name: str = "s", project: int = PROJECT) -> int:
    with database.session() as session:
        return Studies(session, project).add(name, {}).id


def add_webhook(database: Database, url: str, project: int = PROJECT, **values: Any) -> int:
    given = {"url": url, "secret": SECRET, "events": ["study.completed"], "study": None, "created_by": "ada"}
    with database.session() as session:
        return Webhooks(session, project).add(**{**given, **values}).id


def happen(database: Database, study: int, *types: str, data: dict[str, Any] | None = None) -> None:
    with database.session() as session:
        row = session.get_one(Study, study)
        for type_ in types:
            Events(session).append(row, type_, data=data)


def deliveries(database: Database) -> Sequence[Delivery]:
    with database.session(write=False) as session:
        return session.scalars(sa.select(Delivery).order_by(Delivery.id)).all()


def stored(database: Database, webhook: int) -> Webhook:
    with database.session(write=False) as session:
        return session.get_one(Webhook, webhook)


# --- what an event leaves to be sent


def test_an_event_is_stored_for_every_webhook_that_wants_it(database: Database) -> None:
    with database.session() as session:
        session.add(Project(name="other"))
    study, foreign = add_study(database), add_study(database, project=2)
    wanted = [
        add_webhook(database, "http://a/", events=["study.completed", "study.failed"]),
        add_webhook(database, "http://b/", study="s"),
    ]
    add_webhook(database, "http://c/", study="another")
    add_webhook(database, "http://d/", events=["study.failed"])
    add_webhook(database, "http://e/", active=False)
    elsewhere = add_webhook(database, "http://f/", project=2)

    happen(database, study, "study.created", "study.completed")
    found = deliveries(database)
    happen(database, foreign, "study.completed")

    assert [one.webhook_id for one in found] == wanted
    assert [one.webhook_id for one in deliveries(database)] == [*wanted, elsewhere]
    assert len({one.payload["id"] for one in found}) == 2


def test_the_message_is_the_event(sqlite_database: Database) -> None:
    study = add_study(sqlite_database)
    add_webhook(sqlite_database, "http://a/")
    happen(sqlite_database, study, "study.created")
    happen(sqlite_database, study, "study.completed", data={"reason": "budget"})

    (delivery,) = deliveries(sqlite_database)
    with sqlite_database.session(write=False) as session:
        event = session.get_one(Event, (study, 2))

    assert delivery.payload == {
        "id": delivery.payload["id"],
        "type": "study.completed",
        "project": DEFAULT_PROJECT,
        "study": "s",
        "seq": 2,
        "run": None,
        "trial": None,
        "data": {"reason": "budget"},
        "created_at": event.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_what_is_rolled_back_is_not_sent(database: Database) -> None:
    study = add_study(database)
    add_webhook(database, "http://a/")

    with pytest.raises(RuntimeError, match="no"), database.session() as session:
        Events(session).append(session.get_one(Study, study), "study.completed")
        session.flush()
        raise RuntimeError("no")

    assert deliveries(database) == []


def test_events_of_runs_cost_no_look_at_the_webhooks(sqlite_database: Database) -> None:
    study, statements = add_study(sqlite_database), []
    sa.event.listen(
        sqlite_database.engine, "before_cursor_execute", lambda *given: statements.append(given[2].casefold())
    )

    happen(sqlite_database, study, "run.running", "run.succeeded", "study.something")
    assert not [text for text in statements if "webhooks" in text]
    happen(sqlite_database, study, "study.completed")
    assert len([text for text in statements if "webhooks" in text]) == 1


def test_every_move_of_a_study_can_be_told(sqlite_database: Database) -> None:
    study = add_study(sqlite_database)
    add_webhook(sqlite_database, "http://a/", events=list(EVENTS))

    for state in (StudyState.PAUSED, StudyState.ACTIVE, StudyState.CANCELLED):
        with sqlite_database.session() as session:
            Events(session).move_study(session.get_one(Study, study), state)

    assert [one.event for one in deliveries(sqlite_database)] == ["study.paused", "study.resumed", "study.cancelled"]


def test_a_webhook_that_is_removed_meanwhile_does_not_stop_a_study(new_database_url: Callable[[str], str]) -> None:
    """The row is held, so whoever removes it waits for the study's transaction."""
    database = Database(new_database_url("postgresql"))
    study, webhook = add_study(database), add_webhook(database, "http://a/")
    posted, removed = threading.Event(), threading.Event()

    def remove() -> None:
        posted.wait(30)
        with database.session() as session:
            Webhooks(session, PROJECT).remove(Webhooks(session, PROJECT).get(webhook))
        removed.set()

    with ThreadPoolExecutor() as threads:
        removal = threads.submit(remove)
        with database.session() as session:
            Events(session).append(session.get_one(Study, study), "study.completed")
            posted.set()
            assert not removed.wait(0.3)
        removal.result(30)

    assert deliveries(database) == []
    database.dispose()


# --- what is sent


def test_a_delivery_is_signed_and_sent_once(database: Database, receiver: Receiver, clock: Clock) -> None:
    study, webhook = add_study(database), add_webhook(database, receiver.url)
    happen(database, study, "study.completed", data={"reason": "ü \u2028"})
    deliverer = deliverer_on(database, clock)

    assert deliver(deliverer) == 1
    assert deliver(deliverer) == 0

    ((headers, content),) = receiver.received
    event = verify(content, headers, SECRET, now=lambda: clock().timestamp())
    (delivery,) = deliveries(database)
    assert event == delivery.payload
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Assay-Event"] == event["type"] == "study.completed"
    assert headers["Assay-Delivery"] == event["id"]
    assert (delivery.state, delivery.attempts, delivery.status, delivery.error) == ("delivered", 1, 200, None)
    assert delivery.delivered_at == clock()
    assert stored(database, webhook).failing_since is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(
    sqlite_database: Database, new_receiver: Callable[[], Receiver], clock: Clock, status: int
) -> None:
    receiver, elsewhere = new_receiver(), new_receiver()
    receiver.status, receiver.headers = status, {"Location": elsewhere.url}
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")

    deliver(deliverer_on(sqlite_database, clock))

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.state, delivery.status) == ("pending", status)
    assert delivery.error is not None
    assert delivery.error.endswith("redirects are not followed")
    assert (len(receiver.received), elsewhere.received) == (1, [])


def test_little_of_an_answer_is_read(sqlite_database: Database, receiver: Receiver, clock: Clock) -> None:
    receiver.content = b"x" * 200 * MOST_BYTES
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")

    deliver(deliverer_on(sqlite_database, clock))

    assert deliveries(sqlite_database)[0].state == "delivered"


def test_an_answer_that_never_ends_is_given_up(sqlite_database: Database, receiver: Receiver, clock: Clock) -> None:
    receiver.hold = threading.Event()
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")

    deliver(deliverer_on(sqlite_database, clock, seconds=0.2))

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.state, delivery.error) == ("pending", "no whole answer within 0.2 seconds")


def test_a_receiver_that_drips_is_given_up(sqlite_database: Database, clock: Clock) -> None:
    """Every byte comes in time, the whole answer does not."""
    done = threading.Event()

    class Dripping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not done.wait(0.02):
                    self.wfile.write(b"X")
            except OSError:
                done.set()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        add_webhook(sqlite_database, f"http://127.0.0.1:{server.server_port}/")
        happen(sqlite_database, add_study(sqlite_database), "study.completed")
        deliver(deliverer_on(sqlite_database, clock, seconds=0.3))
        assert done.wait(30), "the connection was closed"
        server.shutdown()

    assert deliveries(sqlite_database)[0].error == "no whole answer within 0.3 seconds"


# --- when it fails


def test_a_failure_is_tried_again_until_it_is_given_up(
    sqlite_database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.status = 500
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")
    deliverer, waits = deliverer_on(sqlite_database, clock), []

    for attempt in range(1, ATTEMPTS):
        assert deliver(deliverer) == 1
        (delivery,) = deliveries(sqlite_database)
        assert (delivery.state, delivery.attempts, delivery.status) == ("pending", attempt, 500)
        assert delivery.error == "answered 500 (Internal Server Error)"
        waits.append(delivery.due_at - clock())
        assert deliver(deliverer) == 0
        clock.advance(waits[-1])
    assert deliver(deliverer) == 1

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.state, delivery.attempts) == ("failed", ATTEMPTS)
    clock.advance(timedelta(days=365))
    assert deliver(deliverer) == 0
    assert waits == [delay(delivery.id, attempt) for attempt in range(1, ATTEMPTS)]
    assert timedelta(hours=6) < sum(waits, timedelta()) < timedelta(hours=12)
    assert len({verify(content, headers, SECRET, 1e9)["id"] for headers, content in receiver.received}) == 1
    assert len({headers["Assay-Timestamp"] for headers, _ in receiver.received}) == ATTEMPTS


def test_delays_are_spread_and_the_same_everywhere() -> None:
    first = [delay(number, 1) for number in range(1000)]

    assert first == [delay(number, 1) for number in range(1000)]
    seconds = [one.total_seconds() for one in first if one]
    assert 11.25 <= min(seconds) < 11.5
    assert 18.5 < max(seconds) <= 18.75
    assert delay(1, ATTEMPTS) is None


def test_a_receiver_that_is_back_gets_what_it_missed(
    sqlite_database: Database, receiver: Receiver, clock: Clock
) -> None:
    receiver.status = 503
    webhook = add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")
    deliverer = deliverer_on(sqlite_database, clock)
    deliver(deliverer)
    assert stored(sqlite_database, webhook).failing_since == clock()

    receiver.status = 204
    clock.advance(timedelta(minutes=1))
    deliver(deliverer)

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.state, delivery.attempts, delivery.status, delivery.error) == ("delivered", 2, 204, None)
    assert stored(sqlite_database, webhook).failing_since is None


def test_a_receiver_that_is_not_there(sqlite_database: Database, new_receiver: Callable[[], Receiver]) -> None:
    gone = new_receiver()
    gone.server.server_close()
    add_webhook(sqlite_database, gone.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")

    deliver(deliverer_on(sqlite_database, Clock()))

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.state, delivery.status) == ("pending", None)
    assert (delivery.error or "").startswith("cannot connect: ")


def test_a_webhook_that_fails_for_days_is_turned_off(database: Database, receiver: Receiver, clock: Clock) -> None:
    receiver.status = 500
    study, webhook = add_study(database), add_webhook(database, receiver.url)
    happen(database, study, "study.completed")
    deliverer = deliverer_on(database, clock)
    deliver(deliverer)
    since = clock()
    clock.advance(GIVE_UP - timedelta(seconds=1))
    deliver(deliverer)
    assert stored(database, webhook).active

    happen(database, study, "study.completed")
    with database.session() as session:
        session.execute(sa.update(Delivery).where(Delivery.id == 2).values(due_at=clock() + timedelta(days=1)))
    clock.advance(timedelta(hours=1))
    deliver(deliverer)

    row, (first, second) = stored(database, webhook), deliveries(database)
    assert (row.active, row.failing_since) == (False, since)
    assert (first.state, first.error) == ("failed", "answered 500 (Internal Server Error)")
    assert (second.state, second.error) == ("failed", OFF)
    with database.session(write=False) as session:
        (entry,) = session.scalars(sa.select(AuditEntry))
    assert (entry.action, entry.actor, entry.target) == ("webhook.turn_off", "service", str(webhook))
    happen(database, study, "study.completed")
    assert len(deliveries(database)) == 2


# --- several at once


def test_two_processes_never_send_the_same(new_database_url: Callable[[str], str], clock: Clock) -> None:
    database = Database(new_database_url("postgresql"))
    study = add_study(database)
    for number in range(5):
        add_webhook(database, f"http://127.0.0.1:1/{number}")
    happen(database, study, *["study.completed"] * 20)
    started = threading.Barrier(4)

    def claim() -> list[int]:
        deliverer, found = deliverer_on(database, clock), []
        started.wait(30)
        for _ in range(50):
            found += [due.id for due in deliverer.claim(Counter())]
        return found

    with ThreadPoolExecutor(4) as threads:
        claimed = [one for found in threads.map(lambda _: claim(), range(4)) for one in found]

    assert sorted(claimed) == [one.id for one in deliveries(database)]
    database.dispose()


def test_what_a_killed_process_had_taken_is_sent_by_another(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    """It may have arrived already: receivers know it by its id."""
    add_webhook(database, receiver.url)
    happen(database, add_study(database), "study.completed")
    killed, other = deliverer_on(database, clock), deliverer_on(database, clock)
    (due,) = killed.claim(Counter())
    asyncio.run(killed._send(due))  # and then it is gone, before it has stored what came of it

    assert deliver(other) == 0
    clock.advance(HELD)
    assert deliver(other) == 1

    (delivery,) = deliveries(database)
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    assert len({json.loads(content)["id"] for _, content in receiver.received}) == 1
    assert len(receiver.received) == 2


def test_a_process_that_comes_back_too_late_changes_nothing(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    webhook = add_webhook(database, receiver.url)
    happen(database, add_study(database), "study.completed")
    late, other = deliverer_on(database, clock), deliverer_on(database, clock)
    (due,) = late.claim(Counter())
    clock.advance(HELD)
    deliver(other)

    receiver.status = 500
    asyncio.run(late.deliver(due))

    (delivery,) = deliveries(database)
    assert (delivery.state, delivery.status) == ("delivered", 200)
    assert stored(database, webhook).failing_since is None


def test_a_process_that_comes_back_while_another_sends_changes_nothing(
    database: Database, receiver: Receiver, clock: Clock
) -> None:
    webhook = add_webhook(database, receiver.url)
    happen(database, add_study(database), "study.completed")
    late, other = deliverer_on(database, clock), deliverer_on(database, clock)
    (first,) = late.claim(Counter())
    clock.advance(HELD)
    (second,) = other.claim(Counter())

    receiver.status = 500
    asyncio.run(late.deliver(first))
    assert (deliveries(database)[0].state, deliveries(database)[0].error) == ("sending", None)
    assert stored(database, webhook).failing_since is None
    receiver.status = 200
    asyncio.run(other.deliver(second))
    assert (deliveries(database)[0].state, deliveries(database)[0].attempts) == ("delivered", 2)


def test_a_webhook_that_is_removed_while_it_is_sent_to(database: Database, receiver: Receiver, clock: Clock) -> None:
    webhook = add_webhook(database, receiver.url)
    happen(database, add_study(database), "study.completed")
    deliverer = deliverer_on(database, clock)
    (due,) = deliverer.claim(Counter())
    with database.session() as session:
        Webhooks(session, PROJECT).remove(Webhooks(session, PROJECT).get(webhook))

    asyncio.run(deliverer.deliver(due))

    assert deliveries(database) == []


def test_what_was_left_for_a_webhook_that_is_off_is_not_sent(
    sqlite_database: Database, receiver: Receiver, clock: Clock
) -> None:
    """An event of a transaction that saw it turned on, stored after it was turned off."""
    webhook = add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")
    with sqlite_database.session() as session:
        session.execute(sa.update(Webhook).values(active=False))

    deliver(deliverer_on(sqlite_database, clock))

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.webhook_id, delivery.state, delivery.error, receiver.received) == (webhook, "failed", OFF, [])


def test_a_slow_receiver_holds_up_only_itself(database: Database, new_receiver: Callable[[], Receiver]) -> None:
    slow, quick = new_receiver(), new_receiver()
    slow.hold = threading.Event()
    study = add_study(database)
    add_webhook(database, slow.url)
    add_webhook(database, quick.url)
    happen(database, study, *["study.completed"] * 30)

    with Deliverer(database, Guard(allow_private=True), seconds=30).running():
        for _ in range(30):
            assert quick.arrived.acquire(timeout=30)
        assert len(slow.received) <= AT_ONCE_EACH
        slow.hold.set()
        for _ in range(30):
            assert slow.arrived.acquire(timeout=30)

    assert len(slow.received) == len(quick.received) == 30


def test_the_service_ends_although_a_receiver_is_slow(
    sqlite_database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1)
    receiver.hold = threading.Event()
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")

    with Deliverer(sqlite_database, Guard(allow_private=True), seconds=600).running():
        assert receiver.arrived.acquire(timeout=30)

    assert deliveries(sqlite_database)[0].state == "sending"


def test_a_fault_does_not_end_it(
    sqlite_database: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed")
    deliverer = Deliverer(sqlite_database, Guard(allow_private=True))
    claim, faults = deliverer.claim, iter([RuntimeError("a fault")])
    stopping = threading.Event()
    monkeypatch.setattr(stopping, "wait", lambda seconds: None)

    def broken(under_way: Counter[int]) -> Any:
        for fault in faults:
            raise fault
        return claim(under_way)

    monkeypatch.setattr(deliverer, "claim", broken)
    thread = threading.Thread(target=deliverer.run, args=(stopping,))
    thread.start()
    assert receiver.arrived.acquire(timeout=30)
    stopping.set()
    thread.join(30)

    assert "a fault" in caplog.text


def test_old_deliveries_are_forgotten(database: Database, receiver: Receiver, clock: Clock) -> None:
    add_webhook(database, receiver.url)
    study = add_study(database)
    happen(database, study, "study.completed")
    deliver(deliverer_on(database, clock))
    happen(database, study, "study.completed")

    clock.advance(KEPT - timedelta(hours=1))
    with database.session() as session:
        assert Outbox(session).prune(clock() - KEPT) == 0
    clock.advance(timedelta(hours=2))
    deliverer = deliverer_on(database, clock)
    deliverer.claim(Counter())

    assert [one.state for one in deliveries(database)] == ["sending"]


# --- TLS, with names that are resolved here


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the host `receiver.example`, with its key."""
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=receiver.example", "-addext", "subjectAltName=DNS:receiver.example",
         "-keyout", str(path), "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.mark.parametrize(("host", "state"), [("receiver.example", "delivered"), ("another.example", "pending")])
def test_the_connection_goes_to_the_address_and_the_certificate_is_of_the_name(
    sqlite_database: Database, receiver: Receiver, clock: Clock, certificate: Path, host: str, state: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    add_webhook(sqlite_database, f"https://{host}:{receiver.port}/")
    happen(sqlite_database, add_study(sqlite_database), "study.completed")
    guard = Guard(allow_private=True, resolve=lambda host, port: ["127.0.0.1"])
    tls = ssl.create_default_context(cafile=str(certificate))

    deliver(Deliverer(sqlite_database, guard, now=clock, tls=tls))

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.state, asked) == (state, [host])
    assert ("certificate" in (delivery.error or "")) == (state == "pending")
    assert [headers["Host"] for headers, _ in receiver.received] == [f"{host}:{receiver.port}"] * (state == "delivered")


def test_an_incumbent_is_told_with_its_run(sqlite_database: Database) -> None:
    study = add_study(sqlite_database)
    add_webhook(sqlite_database, "http://a/", events=["study.incumbent"])
    with sqlite_database.session() as session:
        run = Run(number=3, trial=2)
        Events(session).append(session.get_one(Study, study), "study.incumbent", run, {"metrics": {"loss": 0.5}})

    (delivery,) = deliveries(sqlite_database)
    assert (delivery.payload["run"], delivery.payload["trial"]) == (3, 2)
    assert delivery.payload["data"] == {"metrics": {"loss": 0.5}}


# --- what the documentation says


def documented(language: str, containing: str) -> str:
    """The one block of code in the documentation that contains this."""
    (found,) = (
        block for block in re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL) if containing in block
    )
    return str(found)


@pytest.fixture
def request_(sqlite_database: Database, receiver: Receiver) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a real delivery."""
    add_webhook(sqlite_database, receiver.url)
    happen(sqlite_database, add_study(sqlite_database), "study.completed", data={"reason": "ü"})
    deliver(deliverer_on(sqlite_database, Clock()))
    return receiver.received[0]


@pytest.mark.parametrize(
    ("changes", "body", "code"),
    [
        ({}, b"", 0),
        ({}, b" ", 1),
        ({"SECRET": "another"}, b"", 1),
        ({"TIMESTAMP": "1000000000"}, b"", 1),
        ({"SIGNATURE": "v1="}, b"", 1),
    ],
)
def test_the_check_in_bash(
    request_: tuple[dict[str, str], bytes], tmp_path: Path, changes: dict[str, str], body: bytes, code: int
) -> None:
    headers, content = request_
    given = {"TIMESTAMP": headers["Assay-Timestamp"], "SIGNATURE": headers["Assay-Signature"], "SECRET": SECRET}
    (tmp_path / "body").write_bytes(content + body)

    ended = subprocess.run(
        ["bash", "-c", documented("bash", "openssl")], cwd=tmp_path, env={**os.environ, **given, **changes}, check=False
    )

    assert ended.returncode == code


def test_the_check_in_bash_refuses_what_is_old(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"{}")
    for age, code in ((0, 0), (3600, 1), (-3600, 1)):
        sent = int(time.time()) - age
        given = {"TIMESTAMP": str(sent), "SIGNATURE": sign(b"{}", SECRET, sent), "SECRET": SECRET}
        script = documented("bash", "openssl")
        ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, **given}, check=False)
        assert ended.returncode == code


def test_the_checks_in_python(request_: tuple[dict[str, str], bytes]) -> None:
    headers, content = request_
    names: dict[str, Any] = {"secret": SECRET}
    exec(documented("python", "is_genuine"), names)
    exec(documented("python", "assay.webhooks.verify"), names)
    timestamp, signature = headers["Assay-Timestamp"], headers["Assay-Signature"]

    assert names["receive"](content, headers) == 204
    assert names["receive"](content + b" ", headers) == 401
    assert names["is_genuine"](content, timestamp, signature, SECRET)
    assert names["is_genuine"](content, timestamp, f"v2=x, {signature}", SECRET)
    assert not names["is_genuine"](content + b" ", timestamp, signature, SECRET)
    old = str(int(timestamp) - 3600)
    assert not names["is_genuine"](content, old, sign(content, SECRET, int(old)), SECRET)


def test_every_event_is_documented() -> None:
    text = DOCS.read_text()

    assert [event for event in (*EVENTS, PING) if f"`{event}`" not in text] == []
    assert f"{ATTEMPTS} attempts" in text.replace("Eight", "8")
    assert f"at most {MOST} webhooks" in text
