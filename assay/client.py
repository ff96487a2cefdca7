"""The HTTP client.

    client = assay.Client()                          # ASSAY_URL, or http://127.0.0.1:8080
    client.studies.create({...}), .get(name), .list(), .pause(name), .resume(name), .cancel(name)
    client.studies.trials(name), .trial(name, 3), .runs(name, state="failed"), .run(name, 7), .reports(name, run=7)
    client.studies.best(name), .front(name), .incumbents(name), .events(name), .wait(name)
    client.studies.verify(name)                      # derive every decision again
    client.families(), .datasets(), .algorithms(), .stopping_rules()  # what a study may name

Results are the dictionaries of the wire (`assay.wire` types them); long lists are iterators that turn the pages.
Everything that goes wrong is an `AssayError`. A client may be shared by threads.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self

from assay.errors import AssayError
from assay.http import API, Connection
from assay.studies import Studies

DEFAULT_URL = "http://127.0.0.1:8080"


class Client:
    """A client of one service. `timeout` is in seconds, for each answer."""

    def __init__(self, url: str | None = None, *, timeout: float = 30.0) -> None:
        self._http = Connection(url or os.environ.get("ASSAY_URL") or DEFAULT_URL, timeout)
        self.studies = Studies(self._http)

    @property
    def url(self) -> str:
        """The service's address, which is the dashboard's too."""
        return self._http.url

    def families(self) -> Any:
        """The network families that the workers can train."""
        return self._http.get(f"{API}families")

    def datasets(self) -> Any:
        return self._http.get(f"{API}datasets")

    def algorithms(self) -> Any:
        return self._http.get(f"{API}algorithms")

    def stopping_rules(self) -> Any:
        """What may be added to an algorithm as its `stop`."""
        return self._http.get(f"{API}stopping-rules")

    def ready(self) -> bool:
        """Whether the service answers and is ready for work."""
        try:
            self._http.get("readyz")
        except AssayError:
            return False
        return True

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
