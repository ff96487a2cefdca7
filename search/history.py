"""The record of a study: everything an algorithm may know.

A history is a list of events in the order in which they happened: a run was added (the algorithm decided), a run
reported a step of its training, a run ended (the world answered); and what people add by hand: a config was enqueued, a
trial was told or invalidated. Whatever an algorithm derives from it (who is in which rung, which configs are taken,
which model fits) is a *view*: a fold over the events that is kept up to date as the history grows. Dropping a view, or
folding the events again in another process, never changes an answer; so a restart, a replay and a test are the same
thing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, Protocol, TypeVar, cast

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


MOST_VIEWS = 32
"""So many are kept, those last asked for. A suggestion asks for some ten; but there may be one for each space that
priors from other studies were ever brought into."""

ENQUEUED: Final = "enqueued"
TOLD: Final = "told"
"""The rules in the origins of runs that try an enqueued config, and that were carried out elsewhere."""

INHERITS: Final = "inherits"
"""In the origin of a run: that of another trial, whose weights it begins with as far as they fit. Unlike one that goes
on from another, it begins its own schedule, and costs as much as any."""

INFEASIBLE = 1e300
"""From here on the ranking of a result says that it breaks a constraint; no loss is as large (`results.LARGEST`)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a run in a multi-fidelity schedule. `fidelity` is cumulative; None without a fidelity axis.

    A `replicate` other than 0 repeats the run that has the rest of the slot, from scratch and with another seed. A
    trial has one run per slot.
    """

    bracket: int = 0
    rung: int = 0
    fidelity: float | int | None = None
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One decision: train this config of this trial up to this fidelity, continuing from `resume_from` if given.

    That is an earlier run of the same trial, or, for the first run of a trial that is a fork, one of another trial.
    """

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

    @property
    def told(self) -> bool:
        """Whether it was carried out elsewhere: it has a result, but no place in the schedule, and it costs nothing."""
        return self.origin.get("rule") == TOLD

    @property
    def partial(self) -> bool:
        """Whether it was told at less than the highest fidelity, so that no full result compares with its own."""
        return self.told and bool(self.origin.get("partial"))


@dataclass(frozen=True, slots=True)
class Found:
    """Values of some parameters that a supernet's run came upon; the higher its `score`, the more it promises. `own`:
    it is what the search itself has come to, rather than one of those that it ranks beside it."""

    config: Config
    score: float
    own: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    `losses` holds one finite number per objective, minimised; empty unless the run succeeded. `bounded` are the values
    of the metrics that have bounds, and `violation` is by how much they break them, in total; 0 is feasible. The run of
    a supernet has no losses: it succeeds with what it has `found`, the best first.
    """

    state: RunState
    losses: tuple[float, ...] = ()
    failure: str | None = None
    violation: float = 0.0
    bounded: tuple[float, ...] = ()
    found: tuple[Found, ...] = ()

    @property
    def ranking(self) -> tuple[float, ...]:
        """What algorithms order results by, one finite number per objective: the losses where all constraints hold.

        A result that breaks some has the same number for all objectives, above `INFEASIBLE` and growing with the
        violation. So it comes after every feasible one, is dominated by all of them, and by all that violate less: the
        constrained domination of Deb et al. 2002.
        """
        if not self.violation or not self.losses:
            return self.losses
        return (INFEASIBLE * (1 + self.violation / (1 + self.violation)),) * len(self.losses)

    @property
    def loss(self) -> float:
        """The first number of `ranking`; +inf for anything but a success, so that order statistics just work."""
        ranking = self.ranking
        return ranking[0] if ranking else float("inf")


CANCELLED = Outcome(RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Added:
    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    run: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Reported:
    """What a run said after one step of its training.

    `step` is in units of the fidelity and cumulative (epoch 1, 2, ...). The rest is as in `Outcome`; `losses` is empty
    when there are none to use. Constraints are for results: while a run trains, only its losses are looked at.
    """

    run: int
    step: float
    losses: tuple[float, ...] = ()
    violation: float = 0.0
    bounded: tuple[float, ...] = ()

    @property
    def loss(self) -> float:
        return self.losses[0] if self.losses else float("inf")


@dataclass(frozen=True, slots=True)
class Enqueued:
    """People want this config tried. `number` counts them from 0, and they are served in this order."""

    number: int
    config: Config


@dataclass(frozen=True, slots=True)
class Invalidated:
    """From now on the results of this trial count for nothing; its config stays taken."""

    trial: int


Event = Added | Ended | Reported | Enqueued | Invalidated

Sight = Literal["trials", "replicates", "schedule"]


class View(Protocol):
    """A fold over the events that add and end runs, as far as it is to see them:

    trials      no replicates: to an algorithm a trial has one run per rung
    replicates  these too
    schedule    neither replicates nor what was told, which have no place in a schedule

    There may be a hundred reports per run, so they are not folded: a view that needs them reads the whole curve of a
    run when it has ended.

    When a trial is invalidated, views are folded anew, over events in which all its ended runs were cancelled. Not
    those of schedules: decisions that rest on its results stand. They are shown the invalidation when it comes, and
    forget what they know of the trial. To all of them, what ends later is cancelled.
    """

    def apply(self, event: Event, history: History) -> None:
        """Takes in one more event.

        `history` contains it and may already contain later ones: read only what later events cannot change
        (`history.runs`, the curves of runs that have ended; in a schedule `recorded` instead of `outcome`), or the
        fold would depend on when it was made.
        """


V = TypeVar("V", bound=View)


class History:
    """The events of one study and the indexes that everybody needs.

    Only the owner (the dispatcher, an `Optimizer`, a replay) appends; algorithms read. Not thread-safe.
    Observing the end of a run twice is a no-op: the first word stands. So is a report of a step that the run has
    already reached (a repeated attempt trains them again), or of a run that has ended; so is invalidating a trial
    again.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: list[Event] = []
        self._seen: dict[Sight, list[Event]] = {"trials": [], "replicates": [], "schedule": []}
        self._curves: dict[int, list[Reported]] = {}
        self._runs: list[Run] = []
        self._outcomes: dict[int, Outcome] = {}
        self._recorded: dict[int, Outcome] = {}  # of the runs whose outcome does not count any more
        self._open: dict[int, None] = {}
        self._trials: list[list[int]] = []
        self._invalid: set[int] = set()
        self._enqueued: list[Enqueued] = []
        self._served = 0
        self._views: dict[Hashable, tuple[View, int, Sight]] = {}
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
                if run.origin.get("rule") == ENQUEUED:
                    self._served = run.origin["number"] + 1
            case Ended(number, outcome):
                assert 0 <= number < len(self._runs), f"run {number} ended before it was added"
                assert outcome.state.finished
                if number in self._outcomes:
                    return
                self._outcomes[number] = outcome
                del self._open[number]
                if self._runs[number].trial in self._invalid:
                    self._recorded[number], self._outcomes[number] = outcome, CANCELLED
            case Reported(number, step):
                assert 0 <= number < len(self._runs), f"run {number} reported before it was added"
                curve = self._curves.get(number)
                if number in self._outcomes or (curve and step <= curve[-1].step):
                    return
                self._curves.setdefault(number, []).append(event)
            case Enqueued(number):
                assert number == len(self._enqueued), f"config {number} enqueued as number {len(self._enqueued)}"
                self._enqueued.append(event)
            case Invalidated(trial):
                assert 0 <= trial < len(self._trials), f"trial {trial} invalidated before it was added"
                if trial in self._invalid:
                    return
                self._invalidate(trial)
        self._events.append(event)
        self._show(event)

    def _show(self, event: Event) -> None:
        """Hands it to the views that are to see it."""
        match event:
            case Added(run):
                pass
            case Ended(number):
                run = self._runs[number]
                if number in self._recorded:
                    event = Ended(number, CANCELLED)
            case Invalidated():
                self._seen["schedule"].append(event)
                return
            case _:
                return
        self._seen["replicates"].append(event)
        if not run.slot.replicate:
            self._seen["trials"].append(event)
            if not run.told:
                self._seen["schedule"].append(event)

    def _invalidate(self, trial: int) -> None:
        self._invalid.add(trial)
        gone = {run: self._outcomes[run] for run in self._trials[trial] if run in self._outcomes}
        self._recorded |= gone
        self._outcomes |= dict.fromkeys(gone, CANCELLED)
        for sight in ("trials", "replicates"):
            events = self._seen[sight]
            for place, event in enumerate(events):
                if isinstance(event, Ended) and event.run in gone:
                    events[place] = Ended(event.run, CANCELLED)
        self._views = {key: kept for key, kept in self._views.items() if kept[-1] == "schedule"}

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

    def forked(self, trial: int) -> bool:
        """Whether the trial began with what another one had learned: its results say little about its config alone."""
        return self._runs[self._trials[trial][0]].resume_from is not None

    def outcome(self, run: int) -> Outcome | None:
        """What counts as the end of the run, or None while it is open: cancelled, if its trial was invalidated."""
        return self._outcomes.get(run)

    def recorded(self, run: int) -> Outcome | None:
        """How the run ended, whether or not that counts any more, or None while it is open."""
        return self._recorded.get(run) or self._outcomes.get(run)

    def curve(self, run: int) -> Sequence[Reported]:
        """The reports of a run that count, by ascending step: none, if its trial was invalidated."""
        return () if self._runs[run].trial in self._invalid else self._curves.get(run, ())

    def invalidated(self, trial: int) -> bool:
        """Whether the results of a trial count for nothing any more."""
        return trial in self._invalid

    @property
    def enqueued(self) -> Sequence[Enqueued]:
        """All configs that people wanted tried, by number."""
        return self._enqueued

    @property
    def waiting(self) -> Sequence[Enqueued]:
        """Those that no run was given yet, the next one first."""
        return self._enqueued[self._served :]

    def view(self, key: Hashable, make: Callable[[], V], sees: Sight = "trials") -> V:
        """The view stored under `key`, brought up to date; made with `make` and folded from the start when absent.

        What it `sees` is always the same for a key.
        """
        events = self._seen[sees]
        stored = self._views.pop(key, None)
        view, position = stored[:2] if stored else (make(), 0)
        for event in events[position:] if position else events:
            view.apply(event, self)
        self._views[key] = (view, len(events), sees)
        if len(self._views) > MOST_VIEWS:
            del self._views[next(iter(self._views))]
        return cast(V, view)
