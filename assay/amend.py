"""What people add to a study beside its search: configs to try, trials from elsewhere, that a trial does not count,
notes, its priority. One method per route of the API; they are methods of `Client.studies`.

    client.studies.enqueue("digits", [{"lr": 0.1, "width": 64}])
    client.studies.add_trial("digits", {"lr": 0.01, "width": 32}, {"val_accuracy": 0.97}, fidelity=27)
    client.studies.invalidate("digits", 7, "trained on the wrong labels")
    client.studies.note("digits", "try smaller rates", trial=3)
    client.studies.change("digits", priority=1)

What would be done twice when it is asked for twice carries a key, so that a connection that breaks does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from assay.http import Connection, study_path
from assay.script import on_the_wire
from assay.wire import Note, Study, Trial, Wish

ToldFailure = Literal["error", "diverged", "infeasible", "oom", "timeout"]


class Amendments:
    """Methods raise `NotFound` for a study or a trial that there is not, and `Conflict` where a study that has ended
    takes no more."""

    _http: Connection

    def enqueue(self, name: str, configs: Sequence[Mapping[str, Any]]) -> Sequence[Wish]:
        """These are tried next, in this order, before what the search would try. Raises `Invalid`; then none is."""
        body = {"configs": [dict(config) for config in configs]}
        return cast("Sequence[Wish]", self._http.post_once(study_path(name, "enqueued"), body)["items"])

    def enqueued(self, name: str) -> Sequence[Wish]:
        """All that were enqueued, each with the run that tries it, once there is one."""
        return cast("Sequence[Wish]", self._http.get(study_path(name, "enqueued"))["items"])

    def add_trial(
        self,
        name: str,
        config: Mapping[str, Any],
        metrics: Mapping[str, Any] | None = None,
        fidelity: float | None = None,
        failure: ToldFailure | None = None,
    ) -> Trial:
        """A trial from elsewhere, which the search learns from: with its metrics, or with how it failed.

        `fidelity` is how far it was trained, the highest if not said. Raises `Invalid`.
        """
        told = {
            "config": dict(config),
            "metrics": None if metrics is None else on_the_wire(metrics),
            "fidelity": fidelity,
            "failure": failure,
        }
        return cast(Trial, self._http.post_once(study_path(name, "trials"), told))

    def invalidate(self, name: str, trial: int, reason: str) -> Trial:
        """The trial's results are kept but count for nothing any more; its open runs end. Again, it changes nothing."""
        return cast(Trial, self._http.post(study_path(name, "trials", trial, "invalidate"), {"reason": reason}))

    def note(self, name: str, text: str, trial: int | None = None) -> Note:
        """Writes something down about the study, or about one of its trials."""
        return cast(Note, self._http.post_once(study_path(name, "notes"), {"text": text, "trial": trial}))

    def notes(self, name: str, *, trial: int | None = None) -> Iterator[Note]:
        """What people wrote, oldest first."""
        return self._http.pages(study_path(name, "notes"), trial=trial)

    def change(self, name: str, *, priority: int) -> Study:
        """From -4 to 4: each step up doubles the study's share of the workers, from now on."""
        return cast(Study, self._http.patch(study_path(name), {"priority": priority}))
