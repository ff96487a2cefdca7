"""Where checkpoints lie: `<data dir>/checkpoints/<study id>/<run>-<attempt>`, stored without the first two parts."""

from __future__ import annotations

import shutil
from pathlib import Path


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
        self.path(name).unlink(missing_ok=True)

    def keep_only(self, study_id: int, name: str | None) -> None:
        """Removes the study's checkpoints but one."""
        kept = self.path(name) if name else None
        for path in (self.folder / str(study_id)).glob("*"):
            if path != kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
