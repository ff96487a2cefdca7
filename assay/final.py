"""What a client asks of jobs: the checks before a study's first run, and the finalization of its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from assay.errors import AssayError, WaitTimeout
from assay.http import Connection, study_path
from assay.wire import Finalization, Job


class Finals:
    _http: Connection

    def jobs(self, name: str) -> list[Job]:
        """The checks of a study, and the parts of its finalizations."""
        return cast("list[Job]", self._http.get(study_path(name, "jobs"))["items"])

    def finalize(
        self,
        name: str,
        *,
        top: int | None = None,
        seeds: int | None = None,
        data: Literal["train", "train+validation"] | None = None,
        ensemble: int | None = None,
    ) -> Finalization:
        """Confirms the `top` best trials of a study that has ended by `seeds` trainings each, trains the best of them
        once more on `data`, tests it once and keeps the model. What is None is as the service has it. Raises `Conflict`
        where that cannot be.
        """
        given = {"top": top, "seeds": seeds, "data": data, "ensemble": ensemble}
        wishes = {wish: value for wish, value in given.items() if value is not None}
        return cast(Finalization, self._http.post_once(study_path(name, "finalize"), wishes))

    def cancel_final(self, name: str) -> Finalization:
        """Ends the finalization that is under way, and what runs of it. Raises `Conflict` where there is none."""
        return cast(Finalization, self._http.post(study_path(name, "final", "cancel")))

    def final(self, name: str) -> Finalization:
        """What the last finalization has found so far. Raises `NotFound` where there is none."""
        return cast(Finalization, self._http.get(study_path(name, "final")))

    def wait_final(
        self,
        name: str,
        *,
        timeout: float | None = None,
        interval: float = 0.5,
        progress: Callable[[list[Job]], None] = lambda parts: None,
    ) -> Finalization:
        """Returns the finalization once it has ended; `progress` is told its parts at every look. Raises `WaitTimeout`
        when it has not ended after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (found := self.final(name))["state"] == "running":
            progress([job for job in self.jobs(name) if job["finalization"] == found["number"]])
            if deadline is not None and time.monotonic() + interval > deadline:
                raise WaitTimeout(f"study {name} has not been finalized after {timeout:g} seconds")
            time.sleep(interval)
        return found

    def model(self, name: str, target: Path | str | None = None) -> Path:
        """Writes the model of the last finalization to `target` (a file or folder), by default into the working
        directory. Raises `AssayError` where there is none."""
        job = self.final(name)["model"]
        if job is None:
            raise AssayError(f"the finalization of study {name} has left no model")
        file = f"{name}.safetensors"
        path = Path(target or file)
        path = path / file if path.is_dir() else path
        self._http.download(study_path(name, "jobs", job, "model"), path)
        return path
