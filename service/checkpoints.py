"""Where checkpoints lie. Those of the pool are called `<study id>/<run>-<attempt>`.

Those of a study's jobs are called `<study id>/job-<number>`: what confirmations keep for an ensemble.

On a disk that the workers share: `<data dir>/checkpoints/<name>`, which they read and write themselves. With a store on
other machines: `checkpoints/<name>` in it, and workers fetch and put them (`workers.staging`).

What people's own workers saved is called `assay:<key>` if they uploaded it (it is an artifact too, see
`service.repositories.artifacts`), and by an address of theirs if they keep it themselves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

from service.models import Attempt, Run
from service.store import Missing, StorageError, Store
from service.store.keys import CHECKPOINTS
from workers.checkpoint_header import epoch_in, epoch_of

log = logging.getLogger(__name__)

UPLOADED = "assay:"
"""Begins the reference of a checkpoint that is an artifact; the key in the store follows."""

MODELS = "models"

_NAME = re.compile(r"[0-9]+/(?:[0-9]+|job)-[0-9]+")


def is_of_pool(name: str) -> bool:
    """Whether it is the name of a checkpoint of the pool, and not a reference to what somebody's own worker saved."""
    return _NAME.fullmatch(name) is not None


class Checkpoints:
    """Names and removes checkpoint files. `folder` is for those of the pool, unless the `store` is on other machines:
    then they lie there, and their paths are keys in it. Without a store nothing can have been uploaded."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.folder = folder
        self.store = store
        self._remote = store if store is not None and not store.local else None

    @property
    def store_url(self) -> str | None:
        """For `Assignment.store`: where `path` leads to, if not to this machine's disk."""
        return self._remote.url if self._remote else None

    def name(self, study_id: int, run: int, attempt: int) -> str:
        return f"{study_id}/{run:06d}-{attempt}"

    def name_of_job(self, study_id: int, job: int) -> str:
        return f"{study_id}/job-{job}"

    def new(self, study_id: int, run: int, attempt: int) -> str:
        """The name for the checkpoint of an attempt; its folder exists afterwards."""
        return self._new(self.name(study_id, run, attempt))

    def new_of_job(self, study_id: int, job: int) -> str:
        """The name for the checkpoint of a job; its folder exists afterwards."""
        return self._new(self.name_of_job(study_id, job))

    def _new(self, name: str) -> str:
        if self._remote is None:
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
        return name

    def saved_by(self, attempt: Attempt, run: Run) -> tuple[str, float] | None:
        """What a lost attempt at a supernet's run saved after its last whole epoch, and that epoch: the next attempt
        goes on from there. Other runs save at their end alone."""
        if run.kind != "supernet":
            return None
        name = self.name(attempt.study_id, attempt.run, attempt.number)
        epoch = self._epoch_of(self.path(name))
        return None if epoch is None else (name, float(epoch))

    def _epoch_of(self, path: Path) -> int | None:
        if self._remote is None:
            return epoch_of(path)
        store, key = self._remote, path.as_posix()
        try:
            return epoch_in(lambda start, count: b"".join(store.read(key, start, start + count)))
        except Missing:
            return None
        except StorageError as error:
            log.warning("the checkpoint %s cannot be read: %s", path, error)
            return None

    def model(self, study_id: int, job: int) -> Path:
        """Where a finalization's model lies; its folder exists afterwards, if it is on this machine's disk."""
        path = self.path(f"{MODELS}/{study_id}/{job}.safetensors")
        if self._remote is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def read_model(self, study_id: int, job: int) -> bytes | None:
        """A finalization's model; None where its file is gone."""
        path = self.model(study_id, job)
        if self._remote is None:
            return path.read_bytes() if path.exists() else None
        try:
            return b"".join(self._remote.read(path.as_posix()))
        except StorageError as error:
            log.warning("the model %s cannot be read: %s", path, error)
            return None

    def path(self, name: str) -> Path:
        return self.folder / name if self._remote is None else Path(CHECKPOINTS) / name

    def remove(self, name: str) -> None:
        """A file that cannot be removed is left to whoever looks after the disk: no study suffers for it."""
        if is_of_pool(name):
            self._delete(name)
        elif name.startswith(UPLOADED) and self.store is not None:
            self._delete_from(self.store, name.removeprefix(UPLOADED))

    def studies(self) -> list[int]:
        """The ids of the studies that have a folder."""
        if self._remote is None:
            return [int(path.name) for path in self.folder.glob("*") if path.name.isdecimal()]
        try:
            found = {entry.key.split("/")[1] for entry in self._remote.list(CHECKPOINTS)}
        except StorageError as error:
            log.warning("the checkpoints cannot be listed: %s", error)
            return []
        return [int(name) for name in found if name.isdecimal()]

    def keep_only(self, study_id: int, names: Collection[str]) -> None:
        """Removes the checkpoints of a study but these."""
        for name in self._names(study_id):
            if name not in names:
                self._delete(name)

    def _delete(self, name: str) -> None:
        if self._remote is not None:
            self._delete_from(self._remote, self.path(name).as_posix())
            return
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the checkpoint %s stays: %s", name, error)

    def _delete_from(self, store: Store, key: str) -> None:
        try:
            store.delete(key)
        except StorageError as error:
            log.warning("%s stays in the store: %s", key, error)

    def _names(self, study_id: int) -> list[str]:
        if self._remote is None:
            return [f"{study_id}/{path.name}" for path in (self.folder / str(study_id)).glob("*")]
        try:
            entries = list(self._remote.list(f"{CHECKPOINTS}/{study_id}"))
        except StorageError as error:
            log.warning("the checkpoints of study %d cannot be listed: %s", study_id, error)
            return []
        return [entry.key.removeprefix(f"{CHECKPOINTS}/") for entry in entries]
