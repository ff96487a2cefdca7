"""What people do to a study beside its search: enqueue configs, add trials that were carried out elsewhere, invalidate
trials, write notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search import enqueue, invalidate, told
from search.history import Added, RunState
from service.models import Enqueued, Note, Run
from service.repositories.errors import NotFound
from service.repositories.notes import Notes
from service.states import NotAllowed, StudyState
from service.study_work import StudyWork
from spaces.errors import InvalidInput

LONGEST_NOTE = 10_000
"""In characters."""


class Amendments:
    """Of one study in one transaction. Whatever cannot be done is refused before anything is changed."""

    def __init__(self, work: StudyWork, author: str) -> None:
        self.work = work
        self.study = work.study
        self.history = work.tracked.history
        self.spec = work.tracked.spec
        self.author = author

    def enqueue(self, configs: Sequence[Mapping[str, Any]]) -> list[Enqueued]:
        """These configs are tried before what the search would try next. Raises InvalidInput or NotAllowed."""
        self._require_unfinished()
        problems = []
        for index, config in enumerate(configs):
            try:
                enqueue(self.spec, self.history, config)
            except InvalidInput as error:
                problems += [problem.under("configs", index) for problem in error.problems]
        if problems:
            raise InvalidInput(problems)
        rows = []
        for config in configs:
            wish = enqueue(self.spec, self.history, config)
            event = self.work.events.append(self.study, "trial.enqueued", data={"number": wish.number})
            row = Enqueued(
                study_id=self.study.id,
                number=wish.number,
                config=dict(wish.config),
                event=event,
                author=self.author,
            )
            self.work.session.add(row)
            self.history.append(wish)
            rows.append(row)
        return rows

    def tell(
        self,
        config: Mapping[str, Any],
        metrics: Mapping[str, Any] | None,
        fidelity: float | None,
        failure: str | None,
    ) -> Run:
        """A trial that was carried out elsewhere. Raises InvalidInput or NotAllowed."""
        self._require_unfinished()
        decision, _ = told(self.spec, self.history, config, metrics, fidelity, failure=failure)
        (row,) = self.work.runs.add(self.study, [decision])
        run = row.run
        self.history.append(Added(decision))
        self.work.events.move_run(self.study, run, RunState.RUNNING, {"told_by": self.author})
        self.work.outcomes.told(run, metrics, failure)
        return run

    def invalidate(self, trial: int, reason: str) -> None:
        """The trial's results count for nothing any more, and its open runs end. Again, it changes nothing. Raises
        NotFound."""
        row, runs = self.work.runs.trial(self.study.id, trial)
        if row.invalidated is not None:
            return
        for run in runs:
            if not RunState(run.state).finished:
                self.work.outcomes.cancelled(run, {"invalidated_by": self.author})
        data = {"reason": reason, "by": self.author}
        seq = self.work.events.append(self.study, "trial.invalidated", runs[-1], data)
        row.invalidated, row.invalidated_event = data, seq
        self.history.append(invalidate(self.history, trial))
        self.work.session.flush()
        self.work.outcomes.rejudge()

    def note(self, text: str, trial: int | None) -> Note:
        """Raises NotFound."""
        if trial is not None and trial >= self.study.trials:
            raise NotFound(f"the study has no trial {trial}")
        return Notes(self.work.session).add(self.study.id, trial, self.author, text)

    def _require_unfinished(self) -> None:
        state = StudyState(self.study.state)
        if state.finished:
            raise NotAllowed(state, StudyState.ACTIVE)
