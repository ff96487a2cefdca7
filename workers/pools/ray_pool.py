"""The pool on Ray: warm workers, one actor each, that carry out one attempt after another.

An actor is made for one shape of resources, imports what its objectives need before it has work, and stays. An attempt
is a streaming call: every event of `attempt` comes back as it happens. The pool keeps its own books of what its actors
hold on which node, so it knows its capacity without asking Ray, and an idle actor gives way to one of another shape.

What can be lost, and what follows:
- an actor dies: its attempt fails as LOST, and another actor takes its place;
- a node dies: the same for all its actors;
- the cluster is gone (no answer from its head, no live node): every open attempt fails as LOST, and the pool connects
  (or starts Ray) anew.

A Ray that the pool started dies with this process, even by kill -9: its head and raylet at once, its workers within
seconds, two idle helper processes within a minute. It holds no fixed port, so nothing hinders the next start. The
kernel ties Ray's processes to the thread that starts them: make the pool in a thread that outlives it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray ends the whole process when its head has been silent for so many seconds (a minute, if nobody says otherwise).
# The pool notices within seconds and connects anew; it must only get the time for it, however busy its thread is.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workers.pools.attempt import attempt
from workers.pools.placement import places, remaining
from workers.pools.tables import DEFAULT, load, warm
from workers.protocol import Assignment, Failed, FailureClass, Finished, PoolEvent, Resources

logger = logging.getLogger(__name__)

NAMESPACE = "assay"
OBJECT_STORE_BYTES = 500_000_000  # a bound, not a reservation: only assignments and events travel through Ray
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
BATCH = 1_000  # events per poll, about
WATCH_SECONDS = 2.0
PROBE_SECONDS = 1.0
MISSES = 3


class Worker:
    """The actor. `run` occupies it; `stop` has a thread of its own and is heard meanwhile."""

    def __init__(self, objectives: str, threads: int) -> None:
        for variable in THREAD_VARIABLES:  # numerical libraries read them when they are first imported
            os.environ[variable] = str(threads)
        self._objectives = objectives
        self._stops: set[str] = set()
        threading.Thread(target=lambda: warm(load(objectives)), name="warm", daemon=True).start()

    def run(self, assignment: Assignment) -> Iterator[PoolEvent]:
        yield from attempt(assignment, load(self._objectives), lambda: assignment.key in self._stops)
        self._stops.discard(assignment.key)

    def stop(self, key: str) -> None:
        self._stops.add(key)


@dataclass(slots=True, eq=False)
class Seat:
    """A warm worker in the pool's books. `stream` yields the events of the attempt that it carries out, if any."""

    actor: Any
    node: str
    shape: Resources
    stream: Any = None


class RayPool:
    """A `workers.protocol.Pool`: at most `workers` attempts at once, each on the resources that it names.

    Without an address a Ray of its own is started on this machine, which then has as many CPUs as there are workers
    (None: as this machine has). With one (`host:port`, or `auto`), the pool joins that cluster, of which this machine
    must be a node; `workers` None then means: as the cluster has CPUs. The cluster's machines need this package.

    `objectives` names the table of objectives as `module:attribute`, importable by the workers.
    Raises ValueError for settings that cannot be served, and ConnectionError when there is no Ray at the address.
    """

    def __init__(self, workers: int | None = None, address: str | None = None, objectives: str = DEFAULT) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"a pool needs at least one worker, not {workers}")
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
        self._connected = False
        self._closed = False
        self._next_watch = 0.0
        self._misses = 0
        self._head = ("", 0)
        self._actor_class: Any = None
        self._nodes: dict[str, Resources] = {}
        self._seats: list[Seat] = []
        self._open: dict[str, Seat] = {}
        self._connect()

    def capacity(self, resources: Resources) -> int:
        if not self._connected:
            return 0
        room = sum(places(self._free(node, self._open.values()), resources) for node in self._nodes)
        return max(0, min(room, self._limit - len(self._open)))

    def submit(self, assignment: Assignment) -> None:
        assert self.capacity(assignment.resources) > 0, "submit within the capacity"
        assert assignment.key not in self._open, f"{assignment.key} was submitted before"
        seat = self._seat(assignment.resources)
        seat.stream = seat.actor.run.options(num_returns="streaming").remote(assignment)
        self._open[assignment.key] = seat

    def poll(self, timeout: float) -> list[PoolEvent]:
        deadline = time.monotonic() + timeout
        while True:
            patience = min(WATCH_SECONDS, deadline - time.monotonic())
            events = self._take(max(0.0, patience))
            events += self._watch()  # last, so that a caller who hears of a lost worker finds the capacity true
            if events or time.monotonic() >= deadline:
                return events

    def stop(self, key: str) -> None:
        if key in self._open:
            self._open[key].actor.stop.options(concurrency_group="control").remote(key)

    def kill(self, key: str) -> None:
        seat = self._open.pop(key, None)
        if seat:
            self._dismiss(seat)
            self._hire_spare(seat.shape)

    def shutdown(self) -> None:
        if self._closed:
            return
        self._closed = True
        for seat in list(self._seats):
            self._dismiss(seat)
        self._disconnect()

    # The connection

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": NAMESPACE}
        with _own_sigterm():
            if self._address:
                if ":" in self._address and not _answers(_endpoint(self._address)):
                    raise ConnectionError(f"no Ray answers at {self._address}")  # ray.init would wait for it for long
                ray.init(address=self._address, **quiet)
            else:
                # "local" says what None only means while RAY_ADDRESS is not set
                ray.init(
                    address="local",
                    num_cpus=self._workers,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    **quiet,
                )
        self._head = _endpoint(ray.get_runtime_context().gcs_address)
        # each connection needs one of its own; the overloads that Ray declares lack concurrency_groups
        self._actor_class = ray.remote(concurrency_groups={"control": 1})(Worker)  # type: ignore[call-overload]
        self._connected = True
        self._misses = 0
        self._nodes = _live_nodes()
        for _ in range(self.capacity(Resources())):
            self._hire_spare(Resources())

    def _disconnect(self) -> None:
        self._seats.clear()
        self._open.clear()
        self._nodes = {}
        self._connected = False
        ray.shutdown()

    def _watch(self) -> list[PoolEvent]:
        """Every few seconds: does the cluster still answer, which nodes does it have? Tells what is lost with it."""
        now = time.monotonic()
        if self._closed or now < self._next_watch:
            return []
        self._next_watch = now + WATCH_SECONDS
        if not self._connected:
            self._reconnect()
        elif _answers(self._head):
            self._misses = 0
            self._nodes = _live_nodes()
            self._seats = [seat for seat in self._seats if seat.stream or seat.node in self._nodes]
            if not self._nodes:
                return self._lose("the Ray cluster has no live node")
        else:
            self._misses += 1
            if self._misses == MISSES:
                return self._lose("the head of the Ray cluster does not answer")
        return []

    def _lose(self, why: str) -> list[PoolEvent]:
        logger.error("%s; %d open attempts are lost; connecting anew", why, len(self._open))
        lost: list[PoolEvent] = [Failed(key, FailureClass.LOST, why) for key in self._open]
        self._disconnect()
        self._reconnect()
        return lost

    def _reconnect(self) -> None:
        try:
            self._connect()
        except (RayError, ConnectionError, RuntimeError, TimeoutError) as error:
            logger.error("no Ray yet: %s", error)
            ray.shutdown()

    # The workers

    @property
    def _limit(self) -> int:
        return self._workers or int(sum(node.cpus for node in self._nodes.values()))

    def _free(self, node: str, seats: Iterable[Seat]) -> Resources:
        """What is left of a node beside these seats."""
        return remaining(self._nodes[node], (seat.shape for seat in seats if seat.node == node))

    def _roomiest(self, shape: Resources, seats: Iterable[Seat]) -> str | None:
        """The node with most room for the shape beside these seats; None when no node has any."""
        seats = list(seats)
        room = {node: places(self._free(node, seats), shape) for node in self._nodes}
        best = max(room, key=room.__getitem__, default=None)
        return best if best and room[best] else None

    def _seat(self, shape: Resources) -> Seat:
        """A free worker of this shape: an idle one, or a new one, to which idle ones of other shapes give way."""
        idle = [seat for seat in self._seats if not seat.stream]
        for seat in reversed(idle):
            if seat.shape == shape and seat.node in self._nodes:
                return seat
        node = self._roomiest(shape, self._seats) or self._roomiest(shape, self._open.values())
        assert node, "the capacity said that there is room"
        for seat in idle:
            if not places(self._free(node, self._seats), shape) and seat.node == node:
                self._dismiss(seat)
        return self._hire(shape, node)

    def _hire(self, shape: Resources, node: str) -> Seat:
        actor = self._actor_class.options(
            num_cpus=shape.cpus,
            num_gpus=shape.gpus,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(self._objectives, max(1, int(shape.cpus)))
        seat = Seat(actor, node, shape)
        self._seats.append(seat)
        return seat

    def _dismiss(self, seat: Seat) -> None:
        self._seats.remove(seat)
        ray.kill(seat.actor)

    def _hire_spare(self, shape: Resources) -> None:
        """Starts a worker of this shape where there is room beside all others, so that it is warm when it is needed."""
        node = self._roomiest(shape, self._seats)
        if node and len(self._seats) < self._limit:
            self._hire(shape, node)

    # The events

    def _take(self, patience: float) -> list[PoolEvent]:
        """Waits for a first event and takes all that are there."""
        if not self._open:
            time.sleep(patience)
            return []
        events: list[PoolEvent] = []
        ready = self._ready(1, patience)
        while ready and len(events) < BATCH:
            events += [self._next(key) for key in ready]
            ready = self._ready(len(self._open), 0)
        return events

    def _ready(self, number: int, patience: float) -> list[str]:
        """The open attempts with something to tell; waits for `number` of them."""
        if not self._open:
            return []
        keys = {seat.stream: key for key, seat in self._open.items()}
        ready, _ = ray.wait(list(keys), num_returns=number, timeout=patience)
        return [keys[stream] for stream in ready]

    def _next(self, key: str) -> PoolEvent:
        seat = self._open[key]
        try:
            event: PoolEvent = ray.get(next(seat.stream))
        except RayTaskError as error:  # not even begun: the worker cannot load the table of objectives
            event = Failed(key, FailureClass.ERROR, str(error.cause), str(error))
        except RayError as error:
            failure = FailureClass.OOM if isinstance(error, OutOfMemoryError) else FailureClass.LOST
            event = Failed(key, failure, str(error))
            self._seats.remove(seat)
            self._hire_spare(seat.shape)
            self._next_watch = 0.0  # was it the worker alone?
        if isinstance(event, Finished | Failed):
            del self._open[key]
            seat.stream = None
        return event


def _endpoint(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"{address} is not host:port")
    return host, int(port)


def _answers(endpoint: tuple[str, int]) -> bool:
    try:
        socket.create_connection(endpoint, timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _live_nodes() -> dict[str, Resources]:
    """What the cluster's nodes have, by the node's id."""
    return {
        node["NodeID"]: Resources(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0))
        for node in ray.nodes()  # type: ignore[no-untyped-call]  # Ray types it not
        if node["Alive"]
    }


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keeps what this process does on SIGTERM: Ray puts a handler in its place that prints a stack and ends it.

    Python sets handlers in its main thread only, and the pool may be made (and made anew) in another; there the C
    library, which knows no such rule, puts the former one back.
    """
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, handler)
    else:
        sigaction = ctypes.CDLL(None).sigaction
        saved = ctypes.create_string_buffer(1024)  # a struct sigaction, which is smaller on every platform
        sigaction(signal.SIGTERM, None, saved)
        yield
        sigaction(signal.SIGTERM, saved, None)
