"""What a client can do with studies: one method per route of the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from assay.errors import ConnectionFailed, ProblemError, WaitTimeout
from assay.http import API, Connection
from assay.sse import Message, messages
from assay.wire import ENDED, Best, Front, Incumbent, Report, Run, Study, Trial, Verification

_PATIENCE = 60.0  # seconds without an answer after which a service that was there is given up
_RECONNECT = 0.5  # seconds between two tries


class Studies:
    """The studies of a service. Methods raise `NotFound` for a name that the service does not know."""

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def create(self, study: Mapping[str, Any]) -> Study:
        """Submits a study. Raises `Invalid` (every problem with its path) or `Conflict` (the name is taken)."""
        return cast(Study, self._http.post(f"{API}studies", dict(study)))

    def get(self, name: str) -> Study:
        return cast(Study, self._http.get(_path(name)))

    def list(self) -> Iterator[Study]:
        """All studies, in the order of the service's pages."""
        return self._pages(f"{API}studies")

    def pause(self, name: str) -> Study:
        """No new runs start; running ones go on. Raises `Conflict` for a study that has ended."""
        return cast(Study, self._http.post(_path(name, "pause")))

    def resume(self, name: str) -> Study:
        return cast(Study, self._http.post(_path(name, "resume")))

    def cancel(self, name: str) -> Study:
        """Ends the study and its runs, for good."""
        return cast(Study, self._http.post(_path(name, "cancel")))

    def trials(self, name: str, *, state: str | None = None) -> Iterator[Trial]:
        return self._pages(_path(name, "trials"), state=state)

    def trial(self, name: str, number: int) -> Trial:
        return cast(Trial, self._http.get(_path(name, "trials", number)))

    def runs(self, name: str, *, state: str | None = None, trial: int | None = None) -> Iterator[Run]:
        return self._pages(_path(name, "runs"), state=state, trial=trial)

    def run(self, name: str, number: int) -> Run:
        return cast(Run, self._http.get(_path(name, "runs", number)))

    def reports(self, name: str, *, trial: int | None = None, run: int | None = None) -> Iterator[Report]:
        return self._pages(_path(name, "reports"), trial=trial, run=run)

    def best(self, name: str) -> Best:
        """The incumbent. Raises `NotFound` while no run has succeeded."""
        return cast(Best, self._http.get(_path(name, "best")))

    def front(self, name: str) -> Front:
        """The results that no other one dominates; with a single objective the best ones."""
        return cast(Front, self._http.get(_path(name, "front")))

    def incumbents(self, name: str) -> Sequence[Incumbent]:
        """How the incumbent improved, oldest first."""
        return cast("Sequence[Incumbent]", self._http.get(_path(name, "incumbents"))["items"])

    def events(self, name: str, *, after: int = 0) -> Iterator[Message]:
        """The study's events with a sequence number above `after`, then live ones, with reports in between.

        Ends with the study, when all of it was seen. A stream that breaks is taken up where it broke (reports may come
        twice then); when the service stays away for a minute, `ConnectionFailed` is raised.
        """
        seen, lost_at, connected = after, 0.0, False
        while True:
            try:
                with self._http.stream(_path(name, "events"), {"Last-Event-ID": str(seen)}) as chunks:
                    connected, lost_at = True, 0.0
                    for message in messages(chunks):
                        if message.type == "end":
                            return
                        seen = message.seq or seen
                        yield message
            except ConnectionFailed:
                lost_at = lost_at or time.monotonic()
                if not connected or time.monotonic() > lost_at + _PATIENCE:
                    raise
            time.sleep(_RECONNECT)

    def verify(self, name: str, progress: Callable[[int, int], None] = lambda events, of: None) -> Verification:
        """Has the service derive every suggestion and every stop again and compare them with what is stored.

        This may take as long as all of them took; `progress` is told every second how many of the study's events have
        been gone through. Raises `ConnectionFailed` when the service ends before.
        """
        with self._http.stream(_path(name, "verify"), method="POST") as chunks:
            for message in messages(chunks):
                match message.type:
                    case "progress":
                        progress(message.data["events"], message.data["of"])
                    case "verification":
                        return cast(Verification, message.data)
                    case "problem":
                        raise ProblemError(message.data["status"], message.data["title"], message.data["detail"])
        raise ConnectionFailed(f"the service ended before study {name} was verified")

    def wait(self, name: str, *, timeout: float | None = None, interval: float = 0.5) -> Study:
        """Returns the study once it has ended (look at its `state`); looks every `interval` seconds.

        Raises `WaitTimeout` when it has not ended after `timeout` seconds; the study goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (study := self.get(name))["state"] not in ENDED:
            if deadline is not None and time.monotonic() + interval > deadline:
                raise WaitTimeout(f"study {name} has not ended after {timeout:g} seconds")
            time.sleep(interval)
        return study

    def _pages(self, path: str, **params: Any) -> Iterator[Any]:
        after = None
        while True:
            page = self._http.get(path, {**params, "limit": 200, "after": after})
            yield from page["items"]
            after = page["next"]
            if after is None:
                return


def _path(name: str, *rest: str | int) -> str:
    return API + "/".join(["studies", quote(name, safe=""), *map(str, rest)])
