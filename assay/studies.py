"""What a client can do with studies: one method per route of the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from assay import transfer
from assay.amend import Amendments
from assay.architectures import Architectures
from assay.errors import AssayError, ConnectionFailed, ProblemError, WaitTimeout
from assay.final import Finals
from assay.http import API, Connection, study_path
from assay.revising import Revisions
from assay.sse import Message, messages
from assay.wire import (
    ENDED,
    Artifact,
    Attempt,
    Best,
    Claimed,
    Event,
    Front,
    Incumbent,
    Report,
    Run,
    Study,
    StudyCost,
    Trial,
    Verification,
)

_PATIENCE = 60.0  # seconds without an answer after which a service that was there is given up
_RECONNECT = 0.5  # seconds between two tries


class Studies(Amendments, Architectures, Finals, Revisions):
    """The studies of a service. Methods raise `NotFound` for a name that the service does not know."""

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def create(self, study: Mapping[str, Any]) -> Study:
        """Submits a study. Raises `Invalid` (every problem with its path) or `Conflict` (the name is taken)."""
        return cast(Study, self._http.post(f"{API}studies", dict(study)))

    def get(self, name: str) -> Study:
        return cast(Study, self._http.get(study_path(name)))

    def list(self) -> Iterator[Study]:
        """All studies, in the order of the service's pages."""
        return self._http.pages(f"{API}studies")

    def pause(self, name: str) -> Study:
        """No new runs start; running ones go on. Raises `Conflict` for a study that has ended."""
        return cast(Study, self._http.post(study_path(name, "pause")))

    def resume(self, name: str) -> Study:
        return cast(Study, self._http.post(study_path(name, "resume")))

    def cancel(self, name: str) -> Study:
        """Ends the study and its runs, for good."""
        return cast(Study, self._http.post(study_path(name, "cancel")))

    def trials(self, name: str, *, state: str | None = None) -> Iterator[Trial]:
        return self._http.pages(study_path(name, "trials"), state=state)

    def trial(self, name: str, number: int) -> Trial:
        return cast(Trial, self._http.get(study_path(name, "trials", number)))

    def runs(self, name: str, *, state: str | None = None, trial: int | None = None) -> Iterator[Run]:
        return self._http.pages(study_path(name, "runs"), state=state, trial=trial)

    def run(self, name: str, number: int) -> Run:
        return cast(Run, self._http.get(study_path(name, "runs", number)))

    def attempts(self, name: str, run: int) -> Iterator[Attempt]:
        """Every execution of a run, oldest first: by whom, with what, and what it took."""
        return self._http.pages(study_path(name, "runs", run, "attempts"))

    def cost(self, name: str) -> StudyCost:
        """What all attempts at the study's runs took, by how they ended."""
        return cast(StudyCost, self._http.get(study_path(name, "cost")))

    def reports(self, name: str, *, trial: int | None = None, run: int | None = None) -> Iterator[Report]:
        return self._http.pages(study_path(name, "reports"), trial=trial, run=run)

    def best(self, name: str) -> Best:
        """The incumbent. Raises `NotFound` while no run has succeeded."""
        return cast(Best, self._http.get(study_path(name, "best")))

    def front(self, name: str) -> Front:
        """The results that no other one dominates; with a single objective the best ones."""
        return cast(Front, self._http.get(study_path(name, "front")))

    def incumbents(self, name: str) -> Sequence[Incumbent]:
        """How the incumbent improved, oldest first."""
        return cast("Sequence[Incumbent]", self._http.get(study_path(name, "incumbents"))["items"])

    def events(self, name: str, *, after: int = 0) -> Iterator[Message]:
        """The study's events with a sequence number above `after`, then live ones, with reports in between.

        Ends with the study, when all of it was seen. A stream that breaks is taken up where it broke (reports may come
        twice then); when the service stays away for a minute, `ConnectionFailed` is raised.
        """
        seen, lost_at, connected = after, 0.0, False
        while True:
            try:
                with self._http.stream(study_path(name, "events"), {"Last-Event-ID": str(seen)}) as chunks:
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

    def recorded(self, name: str, *, after: int = 0) -> Iterator[Event]:
        """The events with a sequence number above `after` that there are by now, without reports; `events` goes on."""
        return self._http.pages(study_path(name, "events"), format="json", after=after)

    def verify(self, name: str, progress: Callable[[int, int], None] = lambda events, of: None) -> Verification:
        """Has the service derive every suggestion and every stop again and compare them with what is stored.

        This may take as long as all of them took; `progress` is told every second how many of the study's events have
        been gone through. Raises `ConnectionFailed` when the service ends before.
        """
        with self._http.stream(study_path(name, "verify"), method="POST") as chunks:
            for message in messages(chunks):
                match message.type:
                    case "progress":
                        progress(message.data["events"], message.data["of"])
                    case "verification":
                        return cast(Verification, message.data)
                    case "problem":
                        raise ProblemError(message.data["status"], message.data["title"], message.data["detail"])
        raise ConnectionFailed(f"the service ended before study {name} was verified")

    def artifacts(self, name: str, *, run: int | None = None, kind: str | None = None) -> Iterator[Artifact]:
        """The files that the study's runs left: of kind checkpoint, log, plot or file."""
        return self._http.pages(study_path(name, "artifacts"), run=run, kind=kind)

    def download(self, name: str, artifact: Artifact, target: Path | str) -> Path:
        """Writes a file of a run to `target`."""
        path = Path(target)
        self._http.download(study_path(name, "artifacts", artifact["id"], "content"), path)
        return path

    def log(self, name: str, run: int, *, tail: int | None = None, attempt: int | None = None) -> str:
        """What the command of a run wrote to its stdout and stderr, of its latest attempt; its last `tail` lines."""
        return self._http.text(study_path(name, "runs", run, "log"), {"tail": tail, "attempt": attempt})

    def export(
        self,
        name: str,
        target: Path | str | None = None,
        *,
        format: transfer.Format = "jsonl",  # noqa: A002  # the word of the API
        of: transfer.Rows = "trials",
    ) -> Path:
        """Writes a study to `target` (a file or folder), by default into the working directory: as JSON lines, which
        `import_` reads, or as a CSV table of its trials, runs or reports. The file is there as a whole, or not at all.
        """
        file = f"{name}.jsonl" if format == "jsonl" else f"{name}-{of}.csv"
        path = Path(target or file)
        path = path / file if path.is_dir() else path
        transfer.export_to(self._http, study_path(name, "export"), path, format, of)
        return path

    def write_export(
        self,
        name: str,
        target: IO[bytes],
        *,
        format: transfer.Format = "jsonl",  # noqa: A002  # the word of the API
        of: transfer.Rows = "trials",
    ) -> None:
        """As `export`, to an open file. Raises `ConnectionFailed` after what came if that was not all."""
        transfer.export_study(self._http, study_path(name, "export"), target, format, of)

    def import_(self, file: Path | str, *, name: str | None = None) -> Study:
        """Makes a study of an exported one, here called `name` (by default as there). One that had not ended is paused.

        Raises `Invalid` (something is wrong with the file; nothing of it was stored) or `Conflict` (the name is taken).
        """
        path = Path(file)
        if not path.is_file():
            raise AssayError(f"there is no file {path}")
        return transfer.import_study(self._http, path, name)

    def claim(self, name: str, worker: str, *, count: int = 1, lease_seconds: float | None = 60.0) -> Claimed:
        """Claims runs of a study with an external objective for `worker`: first those that it has already.

        Whoever is silent for `lease_seconds` loses them; None is for people, who take as long as they like. See
        `Client.runs` for what to say of a run, and `Client.work` for a whole worker.
        """
        body = {"worker": worker, "count": count, "lease_seconds": lease_seconds}
        return cast(Claimed, self._http.post(study_path(name, "claims"), body))

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
