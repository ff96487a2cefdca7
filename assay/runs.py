"""What a client can say of a run that it carries out: one method per route of the API.

    claimed = client.studies.claim("external", "gpu-box-1")
    for run in claimed["assignments"]:
        client.runs.report(run["id"], run["token"], 1, {"val_loss": 0.3})
        client.runs.complete(run["id"], run["token"], {"val_loss": 0.2})

`Client.work` does all of it. Every method may be called again when its answer was lost: nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from assay.http import API, Connection
from assay.script import on_the_wire
from assay.wire import Checkpoint, Heard, Run

FailureClass = Literal["error", "diverged", "oom", "timeout", "preempted"]


class Runs:
    """Runs by the `id` of their assignment; `token` is the attempt's.

    Methods raise `StaleAttempt` when the attempt has been given up, or is over.
    """

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def report(self, id_: str, token: str, step: float, metrics: Mapping[str, Any]) -> Heard:
        """Tells the metrics after a step, which renews the lease; answers whether to go on."""
        return self.reports(id_, token, [{"step": step, "metrics": on_the_wire(metrics)}])

    def reports(self, id_: str, token: str, reports: Sequence[Mapping[str, Any]]) -> Heard:
        """Many at once, as the API takes them: `step`, `metrics`, and `time` in seconds since the claim."""
        return cast(Heard, self._http.post(_path(id_, "reports"), {"token": token, "reports": list(reports)}))

    def beat(self, id_: str, token: str) -> Heard:
        """Renews the lease when there is nothing to report."""
        return cast(Heard, self._http.put(_path(id_, "heartbeat"), {"token": token}))

    def complete(
        self,
        id_: str,
        token: str,
        metrics: Mapping[str, Any] | None = None,
        *,
        stopped: bool | None = None,
        **extra: Any,
    ) -> Run:
        """The run ended well, with these metrics or those of its last report. `stopped`: before its fidelity.

        `extra` may have `provenance` and `cost`, here and below.
        """
        body = {"token": token, "metrics": None if metrics is None else on_the_wire(metrics), "stopped": stopped}
        return cast(Run, self._http.post(_path(id_, "complete"), {**body, **extra}))

    def fail(
        self,
        id_: str,
        token: str,
        message: str = "",
        *,
        class_: FailureClass = "error",
        traceback: str = "",
        **extra: Any,
    ) -> Run:
        """The run ended badly. `preempted` hands it back, for another worker to carry out."""
        texts = {"message": _storable(message)[:2000], "traceback": _storable(traceback)[-20000:]}
        body = {"token": token, "class": class_, **texts}
        return cast(Run, self._http.post(_path(id_, "fail"), {**body, **extra}))

    def infeasible(self, id_: str, token: str, message: str = "", **extra: Any) -> Run:
        """The config cannot be carried out; it is never tried again."""
        body = {"token": token, "message": _storable(message)[:2000]}
        return cast(Run, self._http.post(_path(id_, "infeasible"), {**body, **extra}))

    def checkpoint(self, id_: str, token: str, where: Path | str, step: float | None = None) -> Checkpoint:
        """Saves a checkpoint, from which a later attempt or run goes on: a file, which is uploaded, or the address of
        what you keep yourself (`s3://bucket/key`, `file:///shared/run-7`)."""
        if isinstance(where, str) and "://" in where:
            body = {"token": token, "uri": where, "step": step}
            return cast(Checkpoint, self._http.post(_path(id_, "checkpoint"), body))
        params = {"token": token, "step": step}
        return cast(Checkpoint, self._http.upload(_path(id_, "checkpoint"), Path(where), params))

    def download_checkpoint(self, id_: str, target: Path) -> None:
        """Writes the uploaded checkpoint that the run goes on from to `target`. Raises `NotFound`."""
        self._http.download(_path(id_, "checkpoint"), target)


def _storable(text: str) -> str:
    """Errors quote odd file names and bytes; halves of surrogate pairs and NUL would be refused with all the rest."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _path(id_: str, what: str) -> str:
    return f"{API}runs/{id_}/{what}"
