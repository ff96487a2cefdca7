"""The uploaded datasets of a project."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.models import Dataset, Study
from service.repositories.errors import NotFound
from service.repositories.owned import UNFINISHED


class Datasets:
    def __init__(self, session: Session, project_id: int) -> None:
        self.session = session
        self.project_id = project_id

    def find(self, name: str, *, lock: bool = False) -> Dataset | None:
        query = self._all.where(Dataset.name == name)
        return self.session.scalar(query.with_for_update() if lock else query)

    def get(self, name: str, *, lock: bool = False) -> Dataset:
        """The dataset of that name, its row locked if asked for. Raises NotFound with near names."""
        dataset = self.find(name, lock=lock)
        if dataset is None:
            names = self.session.scalars(sa.select(Dataset.name).where(Dataset.project_id == self.project_id)).all()
            raise NotFound(f"there is no dataset named {name!r}", difflib.get_close_matches(name, names, 3))
        return dataset

    def add(self, dataset: Dataset) -> bool:
        """False when somebody else was faster with this name."""
        dataset.project_id = self.project_id
        try:
            with self.session.begin_nested():
                self.session.add(dataset)
        except sa.exc.IntegrityError:
            return False
        return True

    def page(self, limit: int, after: int | None = None) -> Sequence[Dataset]:
        """In the order in which they came; `after` is the id of the last one of the page before."""
        query = self._all.order_by(Dataset.id).limit(limit)
        return self.session.scalars(query if after is None else query.where(Dataset.id > after)).all()

    def users(self, name: str) -> Sequence[str]:
        """The unfinished studies whose objective names this dataset."""
        used = sa.select(Study.name, Study.spec["objective"]["dataset"]).where(
            Study.project_id == self.project_id, Study.state.in_(UNFINISHED)
        )
        # A text is the name of a built-in dataset; an uploaded one is stored with what it was.
        return [
            study
            for study, dataset in self.session.execute(used.order_by(Study.id))
            if isinstance(dataset, dict) and dataset.get("name") == name
        ]

    @property
    def _all(self) -> sa.Select[Dataset]:
        return sa.select(Dataset).where(Dataset.project_id == self.project_id)


def known_dataset_keys(session: Session, keys: Collection[str]) -> set[str]:
    """Of these keys of the store those that a dataset has, of whatever project."""
    return set(session.scalars(sa.select(Dataset.path).where(Dataset.path.in_(keys))))
