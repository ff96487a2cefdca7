"""How much of its quota a project has left."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Project
from service.models.base import table_of
from service.repositories.runs import Runs


@dataclass(frozen=True, slots=True)
class Room:
    """So many attempts of a study may be started; `detail` says what is in the way of more."""

    runs: int
    detail: str


class Quotas:
    def __init__(self, session: Session) -> None:
        self.session = session

    def room(self, project_id: int, gpus: float) -> Room | None:
        """What is left for attempts with so many GPUs each; None without a limit.

        Where there is a limit the project's row is locked, so that two studies do not both take what is left. Whoever
        asks holds the lock of a study; nobody takes them in the other order. It is locked against its like alone: rows
        that refer to the project, such as the key of a repeated request, may have been added on the way here.
        """
        project = self.session.connection().execute(_LIMITS, {"project": project_id}).one()
        if project.max_runs is None and (project.max_gpus is None or not gpus):
            return None
        self.session.execute(sa.select(Project.id).where(Project.id == project_id).with_for_update(key_share=True))
        used = Runs(self.session).under_way_in_project(project_id)
        rooms = []
        if project.max_runs is not None:
            detail = f"project {project.name} has {used.runs} of at most {project.max_runs} runs under way"
            rooms.append(Room(max(0, project.max_runs - used.runs), detail))
        if project.max_gpus is not None and gpus:
            detail = f"project {project.name} uses {used.gpus:g} of at most {project.max_gpus:g} GPUs"
            rooms.append(Room(max(0, math.floor((project.max_gpus - used.gpus) / gpus + 1e-9)), detail))
        return min(rooms, key=lambda room: room.runs)


_PROJECTS = table_of(Project).c
_LIMITS = sa.select(_PROJECTS.name, _PROJECTS.max_runs, _PROJECTS.max_gpus).where(
    _PROJECTS.id == sa.bindparam("project")
)
