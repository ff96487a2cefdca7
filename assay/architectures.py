"""What a client asks of architecture search."""

from __future__ import annotations

from typing import cast

from assay.http import Connection, study_path
from assay.wire import Architecture, Best, Trust


class Architectures:
    _http: Connection

    def architecture(self, name: str, trial: int | None = None) -> Architecture:
        """The architecture of a trial, by default of the best one. Raises `NotFound` where the study's space has none,
        or while no run has succeeded."""
        if trial is None:
            trial = cast(Best, self._http.get(study_path(name, "best")))["trial"]
        return cast(Architecture, self._http.get(study_path(name, "trials", trial, "architecture")))

    def trust(self, name: str) -> Trust:
        """Whether the ranking of a one-shot study agrees with trainings. Raises `NotFound` where nothing was ranked."""
        return cast(Trust, self._http.get(study_path(name, "trust")))
