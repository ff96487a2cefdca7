"""What a client does about spaces: what the checks propose, and a study over again in a changed space."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.errors import AssayError
from assay.http import Connection, study_path
from assay.wire import ENDED, Job, Proposal, Study


class Revisions:
    _http: Connection

    def proposal(self, name: str) -> Proposal:
        """What the checks of a study propose to change of its space: the range of the learning rate."""
        return cast(Proposal, self._http.get(study_path(name, "proposal")))

    def revise(
        self,
        name: str,
        new: str,
        changes: Sequence[Mapping[str, Any]],
        *,
        instead: bool = False,
        learn: bool = True,
    ) -> Study:
        """Makes the study `new`, which differs from `name` in these changes of the space (`{"narrow": "lr", "low":
        0.001}`). It makes use of the results of the old one if that has ended, and with `instead` ends it otherwise.

        Raises `Invalid` (a change that cannot be made) or `Conflict` (the name is taken).
        """
        body = {"name": new, "changes": [dict(change) for change in changes], "instead": instead, "learn": learn}
        return cast(Study, self._http.post_once(study_path(name, "revise"), body))

    def wait_range(self, name: str, *, interval: float = 0.2) -> None:
        """Returns once the learning-rate range test of a study has ended. Raises `AssayError` where it does not."""
        while True:
            study = cast(Study, self._http.get(study_path(name)))
            jobs = cast("list[Job]", self._http.get(study_path(name, "jobs"))["items"])
            job = next((job for job in jobs if job["kind"] == "lr_range"), None)
            if job is None:
                raise AssayError(f"study {name} has no learning-rate range test")
            if job["state"] not in ("pending", "running"):
                return
            if study["state"] == "paused" or study["state"] in ENDED:
                raise AssayError(f"the learning-rate range test of study {name} was not made: {study['reason']}")
            time.sleep(interval)
