"""The pool on Ray: warm workers, one actor each, that carry out one attempt after another.

An actor is made for one shape of resources, imports what its objectives need before it has work, and stays. An attempt
is a streaming call: every event of `attempt` comes back as it happens. The pool keeps its own books of what its actors
hold on which node, so it knows its capacity without asking Ray, and an idle actor gives way to one of another shape.

Every few seconds each busy actor is asked for a sign of life, which it answers beside its work; the pool never waits
for one. What can be lost, and what follows:
- an actor dies: its attempt fails as LOST, and another actor takes its place;
- an actor hangs (it stays silent for as long as the lease): it is killed, then the same;
- an attempt exceeds its time or memory: its actor is killed, the attempt fails as TIMEOUT or OOM, then the same;
- a node is about to go (Ray drains it): its attempts are preempted, and it gets no others;
- a node dies: what its actors carried out is LOST;
- the cluster is gone (no answer from its head, no live node): every open attempt fails as LOST, and the pool connects
  (or starts Ray) anew.

The nodes are read again every few seconds: what came takes work, and on a cluster of somebody's, actors that are idle
for long are let go, so that an autoscaler can take their nodes away.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from workers.pools.books import Books, Open, Seat
from workers.pools.ray_cluster import Gone, RayCluster
from workers.pools.tables import DEFAULT
from workers.pools.vigil import Vigil
from workers.protocol import Assignment, Ended, FailureClass, PoolEvent, Resources, Started

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 500_000_000  # a bound, not a reservation: datasets, for half of it, and what is said
BATCH = 1_000  # events per poll, about
WATCH_SECONDS = 2.0
MISSES = 3
# A long call of a library that holds the interpreter's lock is silence too.
LEASE_SECONDS = 30.0
IDLE_SECONDS = 300.0


class RayPool:
    """A `workers.protocol.Pool`: at most `workers` attempts at once, each on the resources that it names.

    Without an address a Ray of its own is started on this machine, which then has as many CPUs as there are workers
    (None: as this machine has). With one (`host:port`, or `auto`), the pool joins that cluster, of which this machine
    must be a node; `workers` None then means: as the cluster has room for. The cluster's machines need this package.

    `objectives` names the table of objectives as `module:attribute`, importable by the workers. A worker that gives no
    sign of life for `lease_seconds` is taken for lost. On a cluster that is not its own the pool lets workers go that
    had nothing to do for `idle_seconds`.
    Raises ValueError for settings that cannot be served, and ConnectionError when there is no Ray at the address.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        objectives: str = DEFAULT,
        lease_seconds: float = LEASE_SECONDS,
        object_store_bytes: int = OBJECT_STORE_BYTES,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"a pool needs at least one worker, not {workers}")
        if lease_seconds < 2 * WATCH_SECONDS:
            raise ValueError(f"a lease of {lease_seconds:g} s is too short: signs of life come every {WATCH_SECONDS:g}")
        if address and address.startswith("ray://"):
            raise ValueError(
                f"{address}: Ray Client cannot stream reports; join the cluster (ray start --address=HOST:6379) "
                "and give host:port or auto"
            )
        self._objectives = objectives
        self._lease_seconds = lease_seconds
        self._idle_seconds = idle_seconds if address else math.inf
        self._grows = address is not None
        self._cluster = RayCluster(address, workers, object_store_bytes)
        self._books = Books(workers)
        self._closed = False
        self._watched = time.monotonic()
        self._next_watch = 0.0
        self._misses = 0
        self._leaving: frozenset[str] = frozenset()
        self._wanted: tuple[Resources, ...] = ()
        self._cluster.connect()
        self._move_in()

    def capacity(self, resources: Resources) -> int:
        return self._books.capacity(resources)

    def want(self, shapes: Mapping[Resources, int]) -> None:
        if self._closed or not self._grows or not self._cluster.connected:
            return
        waiting = [shape for shape, count in shapes.items() for _ in range(count)]
        busy = [work.seat.shape for work in self._open.values()] if waiting else []
        wanted = tuple(busy + waiting)
        if wanted != self._wanted and self._cluster.answers():
            self._cluster.want(wanted)
            self._wanted = wanted

    def submit(self, assignment: Assignment) -> None:
        assert self.capacity(assignment.resources) > 0, "submit within the capacity"
        assert assignment.key not in self._open, f"{assignment.key} was submitted before"
        seat = self._seat(assignment.resources)
        stream = self._cluster.run(seat.actor, assignment)
        self._open[assignment.key] = Open(seat, stream, Vigil(assignment, self._lease_seconds, seat.heard))

    def poll(self, timeout: float) -> list[PoolEvent]:
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            patience = min(
                [WATCH_SECONDS, deadline - now, *(work.vigil.remaining(now) for work in self._open.values())]
            )
            events = self._take(max(0.0, patience))
            events += self._watch()  # last, so that a caller who hears of a lost worker finds the capacity true
            events += self._judge()
            if events or time.monotonic() >= deadline:
                return events

    def stop(self, key: str) -> None:
        if key in self._open:
            self._cluster.call(self._open[key].seat.actor, "stop", key)

    def preempt(self, key: str) -> None:
        if key in self._open:
            self._cluster.call(self._open[key].seat.actor, "preempt", key)

    def kill(self, key: str) -> None:
        work = self._open.pop(key, None)
        if work:
            self._dismiss(work.seat)
            self._hire_spare(work.seat.shape)

    def shutdown(self) -> None:
        if self._closed:
            return
        self.want({})
        self._closed = True
        for seat in list(self._books.seats):
            self._dismiss(seat)
        self._books.clear()
        self._cluster.disconnect()

    @property
    def _open(self) -> dict[str, Open]:
        return self._books.open

    # The workers

    def _seat(self, shape: Resources) -> Seat:
        """A free worker of this shape: an idle one, or a new one, to which idle ones of other shapes give way."""
        seat = self._books.idle(shape)
        if seat:
            return seat
        node, leaving = self._books.place(shape)
        for other in leaving:
            self._dismiss(other)
        return self._hire(shape, node)

    def _hire(self, shape: Resources, node: str) -> Seat:
        actor = self._cluster.hire(node, shape, self._objectives)
        seat = self._books.seat(actor, node, shape, time.monotonic())
        seat.asked = self._cluster.call(actor, "pulse", "")
        return seat

    def _dismiss(self, seat: Seat) -> None:
        self._books.seats.remove(seat)
        self._cluster.dismiss(seat.actor)

    def _hire_spare(self, shape: Resources) -> None:
        """Starts a worker of this shape where there is room beside all others, so that it is warm when it is needed."""
        node = self._books.spare(shape)
        if node:
            self._hire(shape, node)

    # The watch

    def _watch(self) -> list[PoolEvent]:
        """Every few seconds: does the cluster still answer, which nodes does it have? Tells what is lost with it."""
        now = time.monotonic()
        if self._closed or now < self._next_watch:
            return []
        # However long nobody polled, the workers' silence counts as if the pool had come by once.
        self._ask_for_life(min(now - self._watched, 2 * WATCH_SECONDS))
        self._watched = now
        self._next_watch = now + WATCH_SECONDS
        if not self._cluster.connected:
            self._reconnect()
        elif self._cluster.answers():
            self._misses = 0
            if not self._look_at_nodes():
                return self._lose("the Ray cluster has no live node")
            self._let_idle_ones_go(now)
        else:
            self._misses += 1
            if self._misses == MISSES:
                return self._lose("the head of the Ray cluster does not answer")
        return []

    def _look_at_nodes(self) -> bool:
        """Takes over what came and what goes. Whether there is any live node."""
        nodes = self._cluster.nodes()
        leaving = frozenset(name for name, node in nodes.items() if node.leaving)
        idle = self._books.update({name: node.resources for name, node in nodes.items() if name not in leaving})
        for seat in idle:
            self._cluster.dismiss(seat.actor)
        for name in leaving - self._leaving:
            logger.warning("node %s is about to go: its attempts are preempted", name)
        for key, work in self._open.items():
            if work.seat.node in leaving:
                self.preempt(key)
        self._leaving = leaving
        self._leave_empty_nodes()
        return bool(nodes)

    def _let_idle_ones_go(self, now: float) -> None:
        for seat in self._books.idle_since(now - self._idle_seconds):
            self._dismiss(seat)
        self._leave_empty_nodes()

    def _leave_empty_nodes(self) -> None:
        self._cluster.stay_on({seat.node for seat in self._books.seats})

    def _lose(self, why: str) -> list[PoolEvent]:
        logger.error("%s; %d open attempts are lost; connecting anew", why, len(self._open))
        now = time.monotonic()
        lost: list[PoolEvent] = [work.vigil.ended(FailureClass.LOST, why, now) for work in self._open.values()]
        self._reconnect()
        return lost

    def _reconnect(self) -> None:
        self._books.clear()
        self._wanted = ()
        self._cluster.reconnect()
        if self._cluster.connected:
            self._move_in()

    def _move_in(self) -> None:
        """Takes over the cluster's nodes and warms a worker up for each CPU."""
        self._misses = 0
        self._look_at_nodes()
        for _ in range(self.capacity(Resources())):
            self._hire_spare(Resources())

    def _ask_for_life(self, listened: float) -> None:
        """Asks every busy worker for a sign of life, once; those that still owe one have been silent for longer."""
        for key, work in self._open.items():
            if work.seat.asked is None:
                work.seat.asked = self._cluster.call(work.seat.actor, "pulse", key)
            else:
                work.vigil.listen(listened)

    def _judge(self) -> list[PoolEvent]:
        """Ends the attempts that exceed a limit and those whose worker is silent, by force."""
        now = time.monotonic()
        ends = [end for work in self._open.values() if (end := work.vigil.verdict(now))]
        for end in ends:
            self.kill(end.key)
        return list(ends)

    # The events

    def _take(self, patience: float) -> list[PoolEvent]:
        """Waits for a first event and takes all that are there."""
        events: list[PoolEvent] = []
        ready = self._ready(patience)
        while ready and len(events) < BATCH:
            events += [self._next(key) for key in ready]
            ready = self._ready(0)
        return events

    def _ready(self, patience: float) -> list[str]:
        """The open attempts with something to tell; waits for one of them. Signs of life are heard on the way."""
        streams = {work.stream: key for key, work in self._open.items()}
        asked = {seat.asked: seat for seat in self._books.seats if seat.asked is not None}
        if not streams and not asked:
            time.sleep(patience)
            return []
        ready = self._cluster.wait([*streams, *asked], patience)
        for answer in ready:
            if answer in asked:
                self._hear(asked[answer])
        return [streams[stream] for stream in ready if stream in streams]

    def _hear(self, seat: Seat) -> None:
        answer, seat.asked = seat.asked, None
        pulse = self._cluster.pulse(answer)
        if pulse is None:
            return
        seat.heard = True
        for work in self._open.values():
            if work.seat is seat:
                work.vigil.hear(pulse)

    def _next(self, key: str) -> PoolEvent:
        work = self._open[key]
        now = time.monotonic()
        try:
            event = self._cluster.next(work.stream, key)
        except Gone as gone:
            event = work.vigil.ended(gone.failure, gone.message, now)
            self._books.seats.remove(work.seat)
            self._hire_spare(work.seat.shape)
            self._next_watch = 0.0  # was it the worker alone?
        else:
            work.vigil.hear()
            if isinstance(event, Started):
                work.vigil.begin(now)
        if isinstance(event, Ended):
            work.seat.since = now
            del self._open[key]
        return event
