"""An attempt whose files lie in a store elsewhere: on this machine's disk while it is carried out.

The objective sees paths, as ever. Where to continue from is fetched before it begins; its checkpoint is put into the
store whenever a report follows a new one, and at the end; so is its log, however the attempt ends.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from workers.protocol import Assignment, Failure, FailureClass, Job, Result, Stop, Training
from workers.storage import Missing, Remote, StorageError

log = logging.getLogger(__name__)


class Staged:
    """`assignment` is the one to carry out, with files on this machine."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment

    def saved(self, training: Training) -> Training:
        """The same training, whose files are in the store before anything is told that comes after them."""
        return training


class _Remote(Staged):
    def __init__(self, assignment: Assignment, store: Remote, folder: Path) -> None:
        super().__init__(
            replace(
                assignment,
                store=None,
                resume_from=folder / "resume" if assignment.resume_from else None,
                checkpoint=folder / "checkpoint" if assignment.checkpoint else None,
                inherit_from=folder / "inherit" if assignment.inherit_from else None,
                log=folder / "log" if assignment.log else None,
                job=_members_in(folder, assignment.job) if assignment.job else None,
            )
        )
        self._keys = assignment
        self._store = store
        self._version: tuple[int, int, int] | None = None

    def fetch(self) -> None:
        """Raises StorageError."""
        if self._keys.resume_from and self.assignment.resume_from:
            self._store.fetch(self._keys.resume_from.as_posix(), self.assignment.resume_from)
        if self._keys.inherit_from and self.assignment.inherit_from:
            self._store.fetch(self._keys.inherit_from.as_posix(), self.assignment.inherit_from)
        if self._keys.job and self.assignment.job:
            for there, here in zip(self._keys.job.members, self.assignment.job.members, strict=True):
                self._store.fetch(there.checkpoint.as_posix(), here.checkpoint)

    def saved(self, training: Training) -> Training:
        with closing(training):
            answer: Stop | None = None
            try:
                while True:
                    try:
                        report = training.send(answer)
                    except StopIteration as end:
                        self._save_checkpoint()
                        self._save_log()
                        result: Result = end.value
                        return result
                    self._save_checkpoint()
                    answer = yield report
            except BaseException:
                # How the attempt ended stands, whatever becomes of its files.
                with suppress(Failure):
                    self._save_checkpoint()
                self._save_log()
                raise

    def _save_checkpoint(self) -> None:
        """Puts the checkpoint into the store if it is another one than before. Raises Failure."""
        path, key = self.assignment.checkpoint, self._keys.checkpoint
        if path is None or key is None or not path.exists():
            return
        found = path.stat()
        version = (found.st_ino, found.st_mtime_ns, found.st_size)
        if version != self._version:
            try:
                self._store.put(path, key.as_posix())
            except StorageError as error:
                raise _unreachable(error) from error
            self._version = version

    def _save_log(self) -> None:
        path, key = self.assignment.log, self._keys.log
        if path is None or key is None or not path.exists():
            return
        try:
            self._store.put(path, key.as_posix())
        except StorageError as error:
            log.warning("the log of attempt %s is not in the store: %s", self._keys.key, error)


def _members_in(folder: Path, job: Job) -> Job:
    """The job with the checkpoints of its members in the folder."""
    members = (replace(member, checkpoint=folder / f"member-{i}") for i, member in enumerate(job.members))
    return replace(job, members=tuple(members))


@contextmanager
def staged(assignment: Assignment) -> Iterator[Staged]:
    """The attempt with its files on this machine; they are gone from it afterwards. Raises Failure when they cannot be
    had. Without a store they are where they are, and nothing happens."""
    if assignment.store is None:
        yield Staged(assignment)
        return
    with tempfile.TemporaryDirectory(prefix="assay-attempt-") as folder:
        try:
            files = _Remote(assignment, Remote(assignment.store), Path(folder))
            files.fetch()
        except Missing as error:
            raise Failure(FailureClass.ERROR, f"the checkpoint to begin with is gone: {error}") from error
        except StorageError as error:
            raise _unreachable(error) from error
        yield files


def _unreachable(error: StorageError) -> Failure:
    # No fault of the config: the run deserves another attempt, perhaps on another machine.
    return Failure(FailureClass.LOST, str(error))
