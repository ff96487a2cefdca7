"""The record of a study: everything an algorithm may know.

A history is a list of events in the order in which they happened: a run was added (the algorithm decided), a run ended
(the world answered). Whatever an algorithm derives from it (who is in which rung, which configs are taken, which model
fits) is a *view*: a fold over the events that is kept up to date as the history grows. Dropping a view, or folding the
events again in another process, never changes an answer; so a restart, a replay and a test are the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeVar, cast

Value = float | int | bool | str
Config = Mapping[str, Value]
Kind = Literal["train", "supernet"]


class RunState(StrEnum):
    """The states of a run (the allowed transitions stand in `service.states`)."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self not in (RunState.PENDING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a run in a multi-fidelity schedule. `fidelity` is cumulative; None without a fidelity axis."""

    bracket: int = 0
    rung: int = 0
    fidelity: float | int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One decision: train this config of this trial up to this fidelity, continuing from `resume_from` if given."""

    number: int
    trial: int
    config: Config
    slot: Slot = field(default_factory=Slot)
    kind: Kind = "train"
    origin: Mapping[str, Any] = field(default_factory=dict)
    resume_from: int | None = None

    @property
    def fidelity(self) -> float | int | None:
        return self.slot.fidelity


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `losses` holds one finite number per metric, minimised; empty unless the run succeeded."""

    state: RunState
    losses: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def loss(self) -> float:
        """The loss of the first metric; +inf for anything but a success, so that order statistics just work."""
        return self.losses[0] if self.losses else float("inf")


@dataclass(frozen=True, slots=True)
class Added:
    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    run: int
    outcome: Outcome


Event = Added | Ended


class View(Protocol):
    """A fold over events."""

    def apply(self, event: Event, history: History) -> None:
        """Takes in one more event.

        `history` contains it and may already contain later ones: read only what later events cannot change
        (`history.runs`), or the fold would depend on when it was made.
        """


V = TypeVar("V", bound=View)


class History:
    """The events of one study and the indexes that everybody needs.

    Only the owner (the dispatcher, an `Optimizer`, a replay) appends; algorithms read. Not thread-safe.
    Observing the end of a run twice is a no-op: the first word stands.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: list[Event] = []
        self._runs: list[Run] = []
        self._outcomes: dict[int, Outcome] = {}
        self._open: dict[int, None] = {}
        self._trials: list[list[int]] = []
        self._views: dict[Hashable, tuple[View, int]] = {}
        for event in events:
            self.append(event)

    def append(self, event: Event) -> None:
        match event:
            case Added(run):
                assert run.number == len(self._runs), f"run {run.number} added as number {len(self._runs)}"
                assert run.trial <= len(self._trials), f"trial {run.trial} skips a number"
                if run.trial == len(self._trials):
                    self._trials.append([])
                self._trials[run.trial].append(run.number)
                self._runs.append(run)
                self._open[run.number] = None
            case Ended(number, outcome):
                assert 0 <= number < len(self._runs), f"run {number} ended before it was added"
                assert outcome.state.finished
                if number in self._outcomes:
                    return
                self._outcomes[number] = outcome
                del self._open[number]
        self._events.append(event)

    @property
    def events(self) -> Sequence[Event]:
        return self._events

    @property
    def runs(self) -> Sequence[Run]:
        """All runs, by number."""
        return self._runs

    @property
    def open(self) -> Iterable[int]:
        """The numbers of the runs that have not ended, ascending."""
        return self._open.keys()

    @property
    def open_count(self) -> int:
        return len(self._open)

    @property
    def trial_count(self) -> int:
        return len(self._trials)

    def runs_of(self, trial: int) -> Sequence[int]:
        """The run numbers of a trial, in the order in which they were added."""
        return self._trials[trial]

    def outcome(self, run: int) -> Outcome | None:
        """How the run ended, or None while it is open."""
        return self._outcomes.get(run)

    def view(self, key: Hashable, make: Callable[[], V]) -> V:
        """The view stored under `key`, brought up to date; made with `make` and folded from the start when absent."""
        stored = self._views.get(key)
        view, position = stored if stored else (make(), 0)
        for event in self._events[position:] if position else self._events:
            view.apply(event, self)
        self._views[key] = (view, len(self._events))
        return cast(V, view)
