"""The HTTP client.

    client = assay.Client()                          # ASSAY_URL, or http://127.0.0.1:8080
    client = assay.Client(url, token=..., project=...)  # ASSAY_TOKEN and ASSAY_PROJECT, or none
    client.studies.create({...}), .get(name), .list(), .pause(name), .resume(name), .cancel(name)
    client.studies.trials(name), .trial(name, 3), .runs(name, state="failed"), .run(name, 7), .reports(name, run=7)
    client.studies.best(name), .front(name), .incumbents(name), .events(name), .wait(name)
    client.studies.enqueue(name, configs), .enqueued(name), .add_trial(name, config, metrics)  # what people add
    client.studies.invalidate(name, 3, reason), .note(name, text), .notes(name), .change(name, priority=1)
    client.studies.export(name, target), .import_(file, name=name), .attempts(name, 7), .cost(name)
    client.studies.jobs(name), .finalize(name), .wait_final(name), .model(name, target)  # around the search
    client.studies.architecture(name, 3), .trust(name)  # what architecture search has found, and whether to believe it
    client.studies.verify(name)                      # derive every decision again
    client.studies.recorded(name)                    # its events so far
    client.webhooks.create(url), .list(), .get(3), .change(3, active=False), .delete(3), .test(3), .deliveries(3)
    client.studies.artifacts(name), .download(name, artifact, target), .log(name, 7)
    client.datasets.upload("iris.csv", target="species"), .list(), .get(name), .download(name), .delete(name)
    client.projects.create(name), .list(), .get(name), .usage(name), .change(name, max_runs=8), .delete(name)
    client.tokens.create(name, ["write"]), .list(), .revoke(3)
    client.audit(), .me()                            # who did what, and who am I?
    client.work(name, train)                         # carry out runs of a study with an external objective
    client.studies.claim(name, worker), client.runs.report(...), .beat(...), .complete(...)  # call by call
    client.families(), .algorithms(), .stopping_rules()  # what a study may name

Results are the dictionaries of the wire (`assay.wire` types them); long lists are iterators that turn the pages.
Everything that goes wrong is an `AssayError`. A client may be shared by threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from assay.access import AuditEntry, Me, Projects, Tokens
from assay.datasets import Datasets
from assay.errors import AssayError
from assay.hooks import Webhooks
from assay.http import API, Connection
from assay.runs import Runs
from assay.studies import Studies

if TYPE_CHECKING:
    from assay.workers import Train

DEFAULT_URL = "http://127.0.0.1:8080"


class Client:
    """A client of one service. `timeout` is in seconds, for each answer.

    `project` is needed only with a token for all projects; without one it is the project `default`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        project: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._http = Connection(
            url or os.environ.get("ASSAY_URL") or DEFAULT_URL,
            timeout,
            token or os.environ.get("ASSAY_TOKEN") or None,
            project or os.environ.get("ASSAY_PROJECT") or None,
        )
        self.studies = Studies(self._http)
        self.runs = Runs(self._http)
        self.projects = Projects(self._http)
        self.tokens = Tokens(self._http)
        self.datasets = Datasets(self._http)
        self.webhooks = Webhooks(self._http)

    @property
    def url(self) -> str:
        """The service's address, which is the dashboard's too."""
        return self._http.url

    def me(self) -> Me:
        """Who the service takes this client for."""
        return cast(Me, self._http.get(f"{API}me"))

    def audit(
        self, *, project: str | None = None, actor: str | None = None, action: str | None = None
    ) -> Iterator[AuditEntry]:
        """Who changed what, newest first. Needs the scope `admin`."""
        return self._http.pages(f"{API}audit", project=project, actor=actor, action=action)

    def work(
        self,
        study: str,
        train: Train,
        worker: str | None = None,
        lease_seconds: float | None = 60.0,
        max_runs: int | None = None,
        **options: Any,
    ) -> int:
        """Carries out runs of a study with an external objective until there are no more: see `assay.workers.work`."""
        from assay.workers import work

        return work(self, study, train, worker=worker, lease_seconds=lease_seconds, max_runs=max_runs, **options)

    def families(self) -> Any:
        """The network families that the workers can train."""
        return self._http.get(f"{API}families")

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
