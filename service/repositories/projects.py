"""Projects: who owns studies, and how much it may have at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import DEFAULT_PROJECT_ID, Dataset, Project, Study, Token, Webhook
from service.repositories.errors import NameTaken, NotEmpty, NotFound, QuotaUsedUp
from service.repositories.owned import UNFINISHED
from service.repositories.runs import Runs


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project has now: studies at all and unfinished ones, runs under way and what they hold."""

    studies: int
    open_studies: int
    runs: int
    gpus: float
    datasets: int
    webhooks: int
    tokens: int


class Projects:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, name: str, limits: Mapping[str, Any]) -> Project:
        """Raises NameTaken."""
        if self.find(name) is not None:
            raise NameTaken(name, "project")
        project = Project(name=name, **limits)
        try:
            with self.session.begin_nested():
                self.session.add(project)
        except sa.exc.IntegrityError as error:  # another writer was faster
            raise NameTaken(name, "project") from error
        return project

    def find(self, name: str) -> Project | None:
        return self.session.scalar(sa.select(Project).where(Project.name == name))

    def get(self, name: str, *, lock: bool = False) -> Project:
        """Raises NotFound with near names."""
        query = sa.select(Project).where(Project.name == name)
        project = self.session.scalar(query.with_for_update() if lock else query)
        if project is None:
            names = self.session.scalars(sa.select(Project.name).order_by(Project.id.desc()).limit(1000)).all()
            raise NotFound(f"there is no project named {name!r}", difflib.get_close_matches(name, names, 3))
        return project

    def page(self, limit: int, after: int | None = None) -> Sequence[Project]:
        """Oldest first; `after` is the id of the last project of the page before."""
        query = sa.select(Project).order_by(Project.id).limit(limit)
        return self.session.scalars(query if after is None else query.where(Project.id > after)).all()

    def names(self, ids: Sequence[int]) -> Mapping[int, str]:
        rows = self.session.execute(sa.select(Project.id, Project.name).where(Project.id.in_(ids)))
        return dict(rows.all())

    def delete(self, name: str) -> Project:
        """Removes a project and its tokens. Raises NotEmpty while it owns something, and for the default project."""
        project = self.get(name, lock=True)
        if project.id == DEFAULT_PROJECT_ID:
            raise NotEmpty(f"the project {name!r} is always there; it cannot be deleted")
        usage = self.usage(project.id)
        left = {"studies": usage.studies, "datasets": usage.datasets, "webhooks": usage.webhooks}
        if any(left.values()):
            owned = ", ".join(f"{number} {what}" for what, number in left.items() if number)
            raise NotEmpty(f"the project {name!r} is not empty: it has {owned}")
        self.session.delete(project)
        self.session.flush()
        return project

    def usage(self, project_id: int) -> Usage:
        under_way = Runs(self.session).under_way_in_project(project_id)
        return Usage(
            studies=self._count(Study, Study.project_id == project_id),
            open_studies=self._open_studies(project_id),
            runs=under_way.runs,
            gpus=under_way.gpus,
            datasets=self._count(Dataset, Dataset.project_id == project_id),
            webhooks=self._count(Webhook, Webhook.project_id == project_id),
            tokens=self._count(Token, Token.project_id == project_id, Token.revoked_at.is_(None)),
        )

    def lock(self, project_id: int) -> Project:
        """The project's row, locked until the transaction ends. Raises NotFound for a deleted project."""
        query = sa.select(Project).where(Project.id == project_id).with_for_update(key_share=True)
        project = self.session.scalar(query.execution_options(populate_existing=True))
        if project is None:
            raise NotFound("the project has been deleted")
        return project

    def make_room_for_study(self, project_id: int) -> None:
        """Until the transaction ends nobody else adds a study.

        Raises QuotaUsedUp, or NotFound for a deleted project.
        """
        project = self.lock(project_id)
        if project.max_studies is not None and self._open_studies(project_id) >= project.max_studies:
            raise QuotaUsedUp(
                f"the project {project.name!r} may have {project.max_studies} open studies at once, and has them: "
                "wait until one has ended, or cancel one"
            )

    def _open_studies(self, project_id: int) -> int:
        return self._count(Study, Study.project_id == project_id, Study.state.in_(UNFINISHED))

    def _count(self, table: type[Any], *where: sa.ColumnElement[bool]) -> int:
        return self.session.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0
