"""What runs left behind: their checkpoints, logs, plots and other files.

Where rows go, their files in the store are to follow once that is committed: such methods answer the keys.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

import sqlalchemy as sa
from sqlalchemy.orm import Session

from service.checkpoints import UPLOADED
from service.models import Artifact, Attempt, Run
from service.repositories.errors import NotFound


class Artifacts:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, artifact: Artifact) -> list[str]:
        """Stores it. One of the same attempt and name gives way to it."""
        gone = self._remove(
            self._of(artifact.study_id, artifact.run).where(
                Artifact.attempt == artifact.attempt, Artifact.name == artifact.name
            )
        )
        self.session.add(artifact)
        self.session.flush()
        return gone

    def get(self, study_id: int, id_: int) -> Artifact:
        artifact = self.session.get(Artifact, id_)
        if artifact is None or artifact.study_id != study_id:
            raise NotFound(f"the study has no artifact {id_}")
        return artifact

    def page(
        self, study_id: int, limit: int, after: int | None = None, run: int | None = None, kind: str | None = None
    ) -> Sequence[Artifact]:
        """In the order in which they came; `after` is the id of the last one of the page before."""
        query = sa.select(Artifact).where(Artifact.study_id == study_id).order_by(Artifact.id).limit(limit)
        if after is not None:
            query = query.where(Artifact.id > after)
        if run is not None:
            query = query.where(Artifact.run == run)
        if kind is not None:
            query = query.where(Artifact.kind == kind)
        return self.session.scalars(query).all()

    def bytes_of(self, attempt: Attempt, but: str) -> int:
        """How much the attempt has left so far, without what is named `but`."""
        query = sa.select(sa.func.coalesce(sa.func.sum(Artifact.bytes), 0)).where(
            Artifact.study_id == attempt.study_id,
            Artifact.run == attempt.run,
            Artifact.attempt == attempt.number,
            Artifact.name != but,
        )
        return int(self.session.scalar(query) or 0)

    def log(self, study_id: int, run: int, attempt: int | None = None) -> Artifact | None:
        """The log of an attempt, by default of the latest one that has any."""
        query = self._of(study_id, run).where(Artifact.kind == "log")
        if attempt is not None:
            query = query.where(Artifact.attempt == attempt)
        return self.session.scalar(query.order_by(Artifact.attempt.desc(), Artifact.id.desc()).limit(1))

    def checkpoint(self, study_id: int, reference: str) -> Artifact | None:
        """The one that a checkpoint's reference names; None if it is none of ours, or gone."""
        if not reference.startswith(UPLOADED):
            return None
        key = reference.removeprefix(UPLOADED)
        return self.session.scalar(sa.select(Artifact).where(Artifact.study_id == study_id, Artifact.path == key))

    def drop_checkpoint(self, study_id: int, reference: str) -> list[str]:
        """Nobody will go on from this checkpoint; nothing happens if it is none of ours."""
        found = self.checkpoint(study_id, reference)
        return [] if found is None else self._remove(sa.select(Artifact).where(Artifact.id == found.id))

    def drop_superseded(self, run: Run) -> list[str]:
        """The run has ended well: what its earlier attempts left goes, but for the checkpoint that it ends with."""
        self.session.flush()
        last = self.session.get(Attempt, (run.study_id, run.number, run.attempts))
        kept = [run.checkpoint, last.checkpoint if last else None]
        keys = [reference.removeprefix(UPLOADED) for reference in kept if reference]
        earlier = self._of(run.study_id, run.number).where(Artifact.attempt < run.attempts)
        return self._remove(earlier.where(Artifact.path.not_in(keys)))

    def _of(self, study_id: int, run: int) -> sa.Select[Artifact]:
        return sa.select(Artifact).where(Artifact.study_id == study_id, Artifact.run == run)

    def _remove(self, query: sa.Select[Artifact]) -> list[str]:
        gone = self.session.scalars(query).all()
        for artifact in gone:
            self.session.delete(artifact)
        self.session.flush()
        return [artifact.path for artifact in gone]


def known_artifact_keys(session: Session, keys: Collection[str]) -> set[str]:
    """Of these keys of the store those that an artifact has, of whatever study."""
    return set(session.scalars(sa.select(Artifact.path).where(Artifact.path.in_(keys))))


def attempts_under_way(session: Session, attempts: AbstractSet[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
    """Of these attempts (the study's id, run, number) those that have not ended."""
    studies = {study for study, _, _ in attempts}
    query = sa.select(Attempt.study_id, Attempt.run, Attempt.number).where(
        Attempt.study_id.in_(studies), Attempt.ended_at.is_(None)
    )
    return set(attempts) & {(study, run, number) for study, run, number in session.execute(query)}


def checkpoint_to_continue(session: Session, run: Run) -> tuple[str, float | None] | None:
    """The reference of what an attempt at this run has to go on from, and the step after which it was saved.

    That is what an attempt before it saved; else the checkpoint of the run that this one goes on from.
    """
    own = _latest_checkpoint(session, run.study_id, run.number)
    if own is not None or run.resume_from is None:
        return own
    source = session.get(Run, (run.study_id, run.resume_from))
    latest = _latest_checkpoint(session, run.study_id, run.resume_from)
    if source is not None and source.checkpoint is not None:
        saved = latest[1] if latest is not None and latest[0] == source.checkpoint else None
        return source.checkpoint, source.fidelity if saved is None else saved
    return latest


def _latest_checkpoint(session: Session, study_id: int, run: int) -> tuple[str, float | None] | None:
    saved = (Attempt.study_id == study_id) & (Attempt.run == run) & Attempt.checkpoint.is_not(None)
    latest = session.scalar(sa.select(Attempt).where(saved).order_by(Attempt.number.desc()).limit(1))
    return None if latest is None or latest.checkpoint is None else (latest.checkpoint, latest.checkpoint_step)
