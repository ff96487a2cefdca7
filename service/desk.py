"""Many callers who want to change the same study take turns together: one transaction for all that are waiting.

The lock of a study's row lets one transaction at a time change it. Were each caller to make its own, they would queue
for the lock and pay for a begin, a lock, a catching-up and a commit each. Here the first who comes opens the
transaction and carries out what everybody behind it wants as well; who comes meanwhile is in the next one. So the more
there are, the less each one costs. (Flat combining: Hendler et al., SPAA 2010.)

Threads call `act`; coroutines await `act_async`, for which one thread works at a time, however many of them wait.

What the process knows of a study it keeps from one transaction to the next, for the studies that were used last.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.idempotency import Replayed
from service.models import Study, utcnow
from service.problems import Refused
from service.repositories.errors import NameTaken, NotFound
from service.repositories.owned import Owned
from service.repositories.studies import Studies
from service.states import NotAllowed
from service.study_work import StudyWork
from service.tracking import Tracked
from spaces.errors import InvalidInput

T = TypeVar("T")
REFUSALS = (InvalidInput, NotFound, NameTaken, NotAllowed, Refused, Replayed)
"""What an operation raises before it has changed anything; whoever wanted it hears of it, and nobody else."""

KNOWN_STUDIES = 256
KNOWN_NAMES = 10_000
BATCH = 64
THREADS = 16
"""That work for coroutines: so many studies at once."""

Operation = Callable[[StudyWork], T]


class _Ticket(Generic[T]):
    """One thing that somebody wants, and is waiting for. `lead` and `end` may be called by any thread: when it is the
    waiting one's turn to carry out what is waiting, and when the answer is there."""

    def __init__(
        self, operation: Operation[T], run: int | None, lead: Callable[[], None], end: Callable[[], None]
    ) -> None:
        self.operation = operation
        self.run = run
        self.lead = lead
        self.end = end
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None

    def carry_out(self, work: StudyWork) -> None:
        self._error = None  # of an earlier try, which was not stored
        try:
            self._value = self.operation(work)
        except REFUSALS as error:
            self._error = error

    def fail(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return cast(T, self._value)


class _Queue:
    """Who waits for a study. Whoever finds it idle leads: carries out what all wait for, then calls the next leader."""

    def __init__(self, study_id: int) -> None:
        self.study_id = study_id
        self.tracked: Tracked | None = None
        self.study: Study | None = None
        self._lock = threading.Lock()
        self._waiting: list[_Ticket[Any]] = []
        self._led = False

    def enter(self, ticket: _Ticket[Any]) -> None:
        with self._lock:
            self._waiting.append(ticket)
            leads, self._led = not self._led, True
        if leads:
            ticket.lead()

    def take(self) -> list[_Ticket[Any]]:
        with self._lock:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            return batch

    def pass_on(self) -> None:
        """Who has waited longest now leads."""
        with self._lock:
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].lead()

    @property
    def idle(self) -> bool:
        return not self._led


class Desk:
    """Carries out operations on studies. May be used by many threads, and coroutines."""

    def __init__(self, database: Database, checkpoints: Checkpoints, clock: Callable[[], datetime] = utcnow) -> None:
        self.database = database
        self.checkpoints = checkpoints
        self._clock = clock
        self._listening_since = clock()
        self._lock = threading.Lock()
        self._queues: OrderedDict[int, _Queue] = OrderedDict()
        self._ids: dict[tuple[int, str], int] = {}
        self._threads = ThreadPoolExecutor(THREADS, "desk")  # which start when there is something to do

    def act(self, study_id: int, operation: Operation[T]) -> T:
        """Carries out one operation on a study and returns its answer once it is stored.

        An operation checks before it changes anything, and raises one of `REFUSALS` if it cannot be done. Raises that,
        or DatabaseUnavailable; then nothing of it was stored.
        """
        queue, called = self._queue(study_id), threading.Event()
        ticket = _Ticket(operation, None, called.set, called.set)
        queue.enter(ticket)
        called.wait()
        if not ticket.done:
            self._lead(queue)
        return ticket.result()

    async def act_async(self, study_id: int, operation: Operation[T], run: int | None = None) -> T:
        """As `act`, for a coroutine. The `run` that it is about is read together with those of the others."""
        loop = asyncio.get_running_loop()
        answered, context, queue = loop.create_future(), copy_context(), self._queue(study_id)

        def lead() -> None:
            self._threads.submit(context.run, self._lead, queue)

        def end() -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_settle, answered)

        ticket = _Ticket(operation, run, lead, end)
        queue.enter(ticket)
        await answered
        return ticket.result()

    def find(self, project_id: int, name: str) -> int:
        """The id of a study. Raises NotFound."""
        known = self._ids.get((project_id, name))  # names never change, and studies stay
        if known is None:
            with self.database.session(write=False) as session:
                known = Studies(session, project_id).get(name).id
            if len(self._ids) >= KNOWN_NAMES:
                self._ids.clear()
            self._ids[project_id, name] = known
        return known

    async def find_async(self, project_id: int, name: str) -> int:
        """As `find`, for a coroutine."""
        known = self._ids.get((project_id, name))
        return await asyncio.to_thread(self.find, project_id, name) if known is None else known

    def _lead(self, queue: _Queue) -> None:
        try:
            self._work_off(queue, [])
        finally:
            queue.pass_on()

    def _queue(self, study_id: int) -> _Queue:
        with self._lock:
            queue = self._queues.setdefault(study_id, _Queue(study_id))
            self._queues.move_to_end(study_id)
            if len(self._queues) > KNOWN_STUDIES:
                idle = next((key for key, other in self._queues.items() if other.idle and key != study_id), None)
                if idle is not None:
                    del self._queues[idle]
            return queue

    def _work_off(self, queue: _Queue, batch: list[_Ticket[Any]]) -> None:
        """One transaction for all; an empty batch is for who waits when the study's row is locked. If that fails for
        another reason than the database, each has one of its own, so that the fault of one is nobody else's."""
        try:
            self._transact(queue, batch)
        except BaseException as error:  # noqa: BLE001 (a border between threads: whoever wanted it raises it)
            if isinstance(error, Exception) and not isinstance(error, DatabaseUnavailable) and len(batch) > 1:
                for ticket in batch:
                    self._work_off(queue, [ticket])
                return
            batch = batch or queue.take()
            if isinstance(error, DatabaseUnavailable):
                self._listening_since = self._clock()  # whoever said anything meanwhile was not heard
            for ticket in batch:
                ticket.fail(error)
        for ticket in batch:
            ticket.done = True
            ticket.end()

    def _transact(self, queue: _Queue, batch: list[_Ticket[Any]]) -> None:
        known, row = queue.tracked, queue.study
        queue.tracked, queue.study = None, None  # until it is stored
        with self.database.session() as session:
            study = Owned(session).lock(queue.study_id, row)
            known = known or Tracked.of(study)
            known.catch_up(session, study)
            if not batch:  # only now: while another process had the lock, others have come
                batch += queue.take()
            work = StudyWork(session, study, known, self.checkpoints, self._clock(), self._listening_since)
            if runs := {ticket.run for ticket in batch if ticket.run is not None}:
                work.outcomes.load(runs)
            for ticket in batch:
                ticket.carry_out(work)
            given_up = work.conclude()
        known.seq = study.last_event
        queue.tracked, queue.study = known, study
        for name in given_up:
            self.checkpoints.remove(name)


def _settle(answered: asyncio.Future[None]) -> None:
    if not answered.done():  # it may have been cancelled
        answered.set_result(None)
