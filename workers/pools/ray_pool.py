"""The pool on Ray: warm workers, one actor each, that carry out one attempt after another.

An actor is made for one shape of resources, imports what its objectives need before it has work, and stays. An attempt
is a streaming call: every event of `attempt` comes back as it happens. The pool keeps its own books of what its actors
hold on which node, so it knows its capacity without asking Ray, and an idle actor gives way to one of another shape.

Every few seconds each busy actor is asked for a sign of life, which it answers beside its work; the pool never waits
for one. What can be lost, and what follows:
- an actor dies: its attempt fails as LOST, and another actor takes its place;
- an actor hangs (it stays silent for as long as the lease): it is killed, then the same;
- an attempt exceeds its time or memory: its actor is killed, the attempt fails as TIMEOUT or OOM, then the same;
- a node dies: the same for all its actors;
- the cluster is gone (no answer from its head, no live node): every open attempt fails as LOST, and the pool connects
  (or starts Ray) anew.

A Ray that the pool started dies with this process, even by kill -9: its head and raylet at once, its workers within
seconds, two idle helper processes within a minute. It holds no fixed port, so nothing hinders the next start. What a
dead worker started dies with it, unless it left the worker's process group. The kernel ties Ray's processes to the
thread that starts them: make the pool in a thread that outlives it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray ends the whole process when its head has been silent for so many seconds (a minute, if nobody says otherwise).
# The pool notices within seconds and connects anew; it must only get the time for it, however busy its thread is.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")
# A killed worker must not leave behind what it started: data loaders, commands.
os.environ.setdefault("RAY_process_group_cleanup_enabled", "true")

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workers.pools.books import Books, Open, Seat
from workers.pools.connection import answers, endpoint, own_sigterm
from workers.pools.tables import DEFAULT
from workers.pools.vigil import Vigil
from workers.pools.worker import Worker
from workers.protocol import Assignment, Failed, FailureClass, Finished, PoolEvent, Resources, Started

logger = logging.getLogger(__name__)

NAMESPACE = "assay"
OBJECT_STORE_BYTES = 500_000_000  # a bound, not a reservation: only assignments and events travel through Ray
BATCH = 1_000  # events per poll, about
WATCH_SECONDS = 2.0
MISSES = 3
# A long call of a library that holds the interpreter's lock is silence too.
LEASE_SECONDS = 30.0


class RayPool:
    """A `workers.protocol.Pool`: at most `workers` attempts at once, each on the resources that it names.

    Without an address a Ray of its own is started on this machine, which then has as many CPUs as there are workers
    (None: as this machine has). With one (`host:port`, or `auto`), the pool joins that cluster, of which this machine
    must be a node; `workers` None then means: as the cluster has CPUs. The cluster's machines need this package.

    `objectives` names the table of objectives as `module:attribute`, importable by the workers. A worker that gives no
    sign of life for `lease_seconds` is taken for lost.
    Raises ValueError for settings that cannot be served, and ConnectionError when there is no Ray at the address.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        objectives: str = DEFAULT,
        lease_seconds: float = LEASE_SECONDS,
        object_store_bytes: int = OBJECT_STORE_BYTES,
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
        if ray.is_initialized():
            raise RuntimeError("this process is connected to a Ray already; a pool needs the connection for itself")
        self._workers = workers
        self._address = address
        self._objectives = objectives
        self._lease_seconds = lease_seconds
        self._object_store_bytes = object_store_bytes
        self._books = Books(workers)
        self._connected = False
        self._closed = False
        self._watched = time.monotonic()
        self._next_watch = 0.0
        self._misses = 0
        self._head = ("", 0)
        self._actor_class: Any = None
        self._connect()

    def capacity(self, resources: Resources) -> int:
        return self._books.capacity(resources)

    def submit(self, assignment: Assignment) -> None:
        assert self.capacity(assignment.resources) > 0, "submit within the capacity"
        assert assignment.key not in self._open, f"{assignment.key} was submitted before"
        seat = self._seat(assignment.resources)
        stream = seat.actor.run.options(num_returns="streaming").remote(assignment)
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
            self._control(self._open[key].seat, "stop", key)

    def kill(self, key: str) -> None:
        work = self._open.pop(key, None)
        if work:
            self._dismiss(work.seat)
            self._hire_spare(work.seat.shape)

    def shutdown(self) -> None:
        if self._closed:
            return
        self._closed = True
        for seat in list(self._books.seats):
            self._dismiss(seat)
        self._disconnect()

    @property
    def _open(self) -> dict[str, Open]:
        return self._books.open

    # The connection

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": NAMESPACE}
        with own_sigterm():
            if self._address:
                if ":" in self._address and not answers(endpoint(self._address)):
                    raise ConnectionError(f"no Ray answers at {self._address}")  # ray.init would wait for it for long
                ray.init(address=self._address, **quiet)
            else:
                self._start_ray(quiet)
        self._head = endpoint(ray.get_runtime_context().gcs_address)
        # each connection needs one of its own; the overloads that Ray declares lack concurrency_groups
        self._actor_class = ray.remote(concurrency_groups={"control": 1})(Worker)  # type: ignore[call-overload]
        self._connected = True
        self._misses = 0
        self._books.update(_live_nodes())
        for _ in range(self.capacity(Resources())):
            self._hire_spare(Resources())

    def _start_ray(self, quiet: Mapping[str, Any]) -> None:
        try:
            ray.init(
                address="local",  # what None only means while RAY_ADDRESS is not set
                num_cpus=self._workers,
                include_dashboard=False,
                object_store_memory=self._object_store_bytes,
                **quiet,
            )
        except Exception as error:
            if type(error) is not Exception:
                raise
            # Ray raises this very class for a head or a node that dies, or takes too long, while it starts.
            ray.shutdown()
            raise ConnectionError(f"Ray does not start: {error}") from error

    def _disconnect(self) -> None:
        self._books.clear()
        self._connected = False
        ray.shutdown()

    def _reconnect(self) -> None:
        try:
            self._connect()
        except (RayError, ConnectionError, RuntimeError, TimeoutError) as error:
            logger.error("no Ray yet: %s", error)
            ray.shutdown()

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
        actor = self._actor_class.options(
            num_cpus=shape.cpus,
            num_gpus=shape.gpus,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(self._objectives, max(1, int(shape.cpus)))
        seat = Seat(actor, node, shape)
        seat.asked = self._control(seat, "pulse", "")
        self._books.seats.append(seat)
        return seat

    def _dismiss(self, seat: Seat) -> None:
        self._books.seats.remove(seat)
        ray.kill(seat.actor)

    def _hire_spare(self, shape: Resources) -> None:
        """Starts a worker of this shape where there is room beside all others, so that it is warm when it is needed."""
        node = self._books.spare(shape)
        if node:
            self._hire(shape, node)

    def _control(self, seat: Seat, method: str, key: str) -> Any:
        """Calls what an actor answers beside its work."""
        return getattr(seat.actor, method).options(concurrency_group="control").remote(key)

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
        if not self._connected:
            self._reconnect()
        elif answers(self._head):
            self._misses = 0
            self._books.update(_live_nodes())
            if not self._books.nodes:
                return self._lose("the Ray cluster has no live node")
        else:
            self._misses += 1
            if self._misses == MISSES:
                return self._lose("the head of the Ray cluster does not answer")
        return []

    def _lose(self, why: str) -> list[PoolEvent]:
        logger.error("%s; %d open attempts are lost; connecting anew", why, len(self._open))
        now = time.monotonic()
        lost: list[PoolEvent] = [work.vigil.ended(FailureClass.LOST, why, now) for work in self._open.values()]
        self._disconnect()
        self._reconnect()
        return lost

    def _ask_for_life(self, listened: float) -> None:
        """Asks every busy worker for a sign of life, once; those that still owe one have been silent for longer."""
        for key, work in self._open.items():
            if work.seat.asked is None:
                work.seat.asked = self._control(work.seat, "pulse", key)
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
        waiting = [*streams, *asked]
        ready, _ = ray.wait(waiting, num_returns=1 if patience else len(waiting), timeout=patience)
        for answer in ready:
            if answer in asked:
                self._hear(asked[answer])
        return [streams[stream] for stream in ready if stream in streams]

    def _hear(self, seat: Seat) -> None:
        answer, seat.asked = seat.asked, None
        try:
            pulse = ray.get(answer)
        except RayError:
            return  # the worker is dead, and its stream tells so
        seat.heard = True
        for work in self._open.values():
            if work.seat is seat:
                work.vigil.hear(pulse)

    def _next(self, key: str) -> PoolEvent:
        work = self._open[key]
        now = time.monotonic()
        try:
            event: PoolEvent = ray.get(next(work.stream))
        except RayTaskError as error:  # not even begun: the worker cannot load the table of objectives
            event = Failed(key, FailureClass.ERROR, str(error.cause), str(error))
        except RayError as error:
            failure = FailureClass.OOM if isinstance(error, OutOfMemoryError) else FailureClass.LOST
            event = work.vigil.ended(failure, str(error), now)
            self._books.seats.remove(work.seat)
            self._hire_spare(work.seat.shape)
            self._next_watch = 0.0  # was it the worker alone?
        else:
            work.vigil.hear()
            if isinstance(event, Started):
                work.vigil.begin(now)
        if isinstance(event, Finished | Failed):
            del self._open[key]
        return event


def _live_nodes() -> dict[str, Resources]:
    """What the cluster's nodes have, by the node's id."""
    return {
        node["NodeID"]: Resources(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0))
        for node in ray.nodes()  # type: ignore[no-untyped-call]  # Ray types it not
        if node["Alive"]
    }
