"""Where checkpoints lie: `<data dir>/checkpoints/<study id>/<run>-<attempt>`, stored without the first two parts."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger(__name__)


class Checkpoints:
    """Names and removes checkpoint files; workers write and read them, so on several machines the folder is shared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def name(self, study_id: int, run: int, attempt: int) -> str:
        return f"{study_id}/{run:06d}-{attempt}"

    def new(self, study_id: int, run: int, attempt: int) -> str:
        """The name for the checkpoint of an attempt; its folder exists afterwards."""
        name = self.name(study_id, run, attempt)
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        return name

    def path(self, name: str) -> Path:
        return self.folder / name

    def remove(self, name: str) -> None:
        """A file that cannot be removed is left to whoever looks after the disk: no study suffers for it."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the checkpoint %s stays: %s", name, error)

    def studies(self) -> list[int]:
        """The ids of the studies that have a folder."""
        return [int(path.name) for path in self.folder.glob("*") if path.name.isdecimal()]

    def keep_only(self, study_id: int, names: Collection[str]) -> None:
        """Removes the checkpoints of a study but these."""
        for path in (self.folder / str(study_id)).glob("*"):
            if (name := f"{study_id}/{path.name}") not in names:
                self.remove(name)
