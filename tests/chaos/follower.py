"""Somebody who follows a study over server-sent events, and comes back to any replica whenever the stream breaks."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Sequence

import httpx

SILENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.5


class Follower:
    """`seen` holds the sequence numbers as they came; `ended` says that the stream told of the study's end."""

    def __init__(self, ports: Sequence[int], study: str) -> None:
        self.seen: list[int] = []
        self.ended = False
        self.connections = 0
        self._ports = itertools.cycle(ports)
        self._study = study
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"follower of {study}", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return self.ended

    def stop(self) -> None:
        self._stopping.set()

    def _follow(self) -> None:
        while not self.ended and not self._stopping.is_set():
            with contextlib.suppress(httpx.HTTPError):
                self._listen(next(self._ports))
            self._stopping.wait(PAUSE_SECONDS)

    def _listen(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/api/v1/studies/{self._study}/events"
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.seen[-1] if self.seen else 0)}
        with httpx.stream("GET", url, headers=headers, timeout=SILENCE_SECONDS) as answer:
            if answer.status_code != 200:
                return
            self.connections += 1
            number: int | None = None
            for line in answer.iter_lines():
                if line.startswith("id:"):
                    number = int(line.removeprefix("id:"))
                elif line == "event: end":
                    self.ended = True
                elif not line and number is not None:  # the message is whole
                    self.seen.append(number)
                    number = None
                if self._stopping.is_set():
                    return
