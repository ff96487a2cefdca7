"""Following a study: a stream of snapshots, driven by the study's events.

The events only say *that* something happened; what is shown is read afresh, at most a few times per second. So a
snapshot is always one that the service gave, whatever was missed on the way.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assay.client import Client
from assay.errors import ConnectionFailed
from assay.sse import Message
from assay.wire import ENDED, Report, Run, Study

_PACE = 0.25  # seconds between two snapshots, at least
_PULSE = 5.0  # seconds after which the study is read although nothing was heard


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment; `latest` has the last report of the running runs, by run number."""

    study: Study
    running: tuple[Run, ...]
    latest: Mapping[int, Report]

    @property
    def ended(self) -> bool:
        return self.study["state"] in ENDED


def follow(client: Client, name: str) -> Iterator[Snapshot]:
    """Snapshots of the study: one at once, one whenever something happened, and a last one when it has ended.

    Outlasts a restart of the service. Raises NotFound, and ConnectionFailed when the service stays away.
    """
    snapshot = _read(client, name, {})
    yield snapshot
    inbox: queue.SimpleQueue[Message | Exception] = queue.SimpleQueue()
    gone = threading.Event()
    source = client.studies.events(name, after=snapshot.study["last_event"])
    listener = threading.Thread(target=_listen, args=(source, inbox, gone), name=f"events of {name}", daemon=True)
    listener.start()
    latest: dict[int, Report] = {}
    try:
        while not snapshot.ended:
            news = list(_drain(inbox))
            for message in news:
                if message.type == "report":
                    latest[message.data["run"]] = message.data  # type: ignore[assignment]  # a report, by its type
            if news and all(message.type == "report" for message in news):
                snapshot = Snapshot(snapshot.study, snapshot.running, dict(latest))
            else:
                try:
                    snapshot = _read(client, name, latest)
                except ConnectionFailed:
                    if not listener.is_alive():
                        raise
                    continue  # the listener tries for longer, and has the last word
            yield snapshot
    finally:
        gone.set()


def _read(client: Client, name: str, latest: Mapping[int, Report]) -> Snapshot:
    study = client.studies.get(name)
    running = () if study["state"] in ENDED else tuple(client.studies.runs(name, state="running"))
    return Snapshot(study, running, dict(latest))


def _drain(inbox: queue.SimpleQueue[Message | Exception]) -> Iterator[Message]:
    """What has come in, after waiting for the first and giving others the time to join it."""
    try:
        item = inbox.get(timeout=_PULSE)
        time.sleep(_PACE)
        while True:
            if isinstance(item, Exception):
                raise item
            yield item
            item = inbox.get_nowait()
    except queue.Empty:
        return


def _listen(source: Iterator[Message], inbox: queue.SimpleQueue[Message | Exception], gone: threading.Event) -> None:
    try:
        for message in source:
            if gone.is_set():
                return
            inbox.put(message)
    except Exception as error:  # noqa: BLE001 (a thread's boundary: the follower raises it, or has left)
        inbox.put(error)
