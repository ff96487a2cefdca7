"""A process's connection to a Ray, in the words of the pool: nodes, workers, what they tell, what they share.

All of Ray is behind this; which worker carries out what, and for how long, is the pool's to decide.

A Ray that was started here dies with this process, even by kill -9: its head and raylet at once, its workers within
seconds, two idle helper processes within a minute. It holds no fixed port, so nothing hinders the next start. What a
dead worker started dies with it, unless it left the worker's process group. The kernel ties Ray's processes to the
thread that starts them: connect in a thread that outlives it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from ray._private.state import state  # as Ray Train has it: which nodes are to go is told nowhere else
from ray.autoscaler.sdk import request_resources
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workers.data.sharing import OwnShelf, read, size_of
from workers.data.source import Source
from workers.pools.connection import answers, endpoint, own_sigterm
from workers.pools.vigil import Pulse
from workers.pools.worker import Worker
from workers.protocol import Assignment, Failed, FailureClass, PoolEvent, Resources

logger = logging.getLogger(__name__)

NAMESPACE = "assay"
SHARED_PART = 0.5  # of a node's object store may hold datasets
SHARING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Node:
    """`leaving`: it is being drained, and takes no new work."""

    resources: Resources
    store_bytes: float
    leaving: bool = False


class Gone(Exception):
    """A worker is dead, and what it carried out has failed so."""

    def __init__(self, failure: FailureClass, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message


class RayCluster:
    """Without an address a Ray of this process's own, with so many CPUs (None: as the machine has). An `actor`, a
    `stream` and an `answer` are Ray's: whoever has them hands them back here and looks into none of them.

    Raises RuntimeError where this process is connected to a Ray already.
    """

    def __init__(self, address: str | None, cpus: int | None, object_store_bytes: int) -> None:
        if ray.is_initialized():
            raise RuntimeError("this process is connected to a Ray already; a pool needs the connection for itself")
        self._address = address
        self._cpus = cpus
        self._object_store_bytes = object_store_bytes
        self._head = ("", 0)
        self._worker_class: Any = None
        self._library_class: Any = None
        self._libraries: dict[str, Any] = {}  # by node
        self._store_bytes: dict[str, float] = {}  # by node, when they were last looked at
        self.connected = False

    # The connection

    def connect(self) -> None:
        """Raises ConnectionError when there is no Ray, and what else Ray raises."""
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": NAMESPACE}
        with own_sigterm():
            if self._address:
                if ":" in self._address and not answers(endpoint(self._address)):
                    raise ConnectionError(f"no Ray answers at {self._address}")  # ray.init would wait for it for long
                ray.init(address=self._address, **quiet)
            else:
                self._start(quiet)
        self._head = endpoint(ray.get_runtime_context().gcs_address)
        # each connection needs classes of its own; the overloads that Ray declares lack concurrency_groups
        self._worker_class = ray.remote(concurrency_groups={"control": 1})(Worker)  # type: ignore[call-overload]
        self._library_class = ray.remote(Library)
        self.connected = True

    def _start(self, quiet: Mapping[str, Any]) -> None:
        try:
            ray.init(
                address="local",  # what None only means while RAY_ADDRESS is not set
                num_cpus=self._cpus,
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

    def reconnect(self) -> None:
        """Tries to; `connected` tells whether it worked."""
        self.disconnect()
        try:
            self.connect()
        except (RayError, ConnectionError, RuntimeError, TimeoutError) as error:
            logger.error("no Ray yet: %s", error)
            ray.shutdown()

    def disconnect(self) -> None:
        """With a Ray of its own, everything in it ends."""
        self._libraries.clear()
        self.connected = False
        ray.shutdown()

    def answers(self) -> bool:
        """Whether the head does."""
        return answers(self._head)

    # The nodes

    def nodes(self) -> dict[str, Node]:
        """The live nodes, by their ids."""
        draining = state.get_draining_nodes()
        nodes = {
            node["NodeID"]: Node(
                Resources(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0)),
                node["Resources"].get("object_store_memory", 0),
                node["NodeID"] in draining,
            )
            for node in ray.nodes()  # type: ignore[no-untyped-call]  # Ray types it not
            if node["Alive"]
        }
        self._store_bytes = {name: node.store_bytes for name, node in nodes.items()}
        return nodes

    def want(self, shapes: Iterable[Resources]) -> None:
        """Tells an autoscaler, if there is one, that the cluster should have room for all of these at once."""
        bundles = [{"CPU": shape.cpus, "GPU": shape.gpus} for shape in shapes]
        request_resources(bundles=[{name: n for name, n in bundle.items() if n} for bundle in bundles])

    # The workers

    def hire(self, node: str, shape: Resources, objectives: str) -> Any:
        """A new worker on the node, once what it needs is free there: an actor."""
        if node not in self._libraries:
            self._libraries[node] = self._open_library(node)
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": shape.cpus, "num_gpus": shape.gpus, "max_restarts": 0, "scheduling_strategy": here}
        return self._worker_class.options(**options).remote(objectives, shape, NodeShelf(self._libraries[node]))

    def _open_library(self, node: str) -> Any:
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": SHARING_THREADS, "scheduling_strategy": here}
        # a node that has died since is heard of by what is asked of it, not here
        most_bytes = SHARED_PART * self._store_bytes.get(node, 0.0)
        return self._library_class.options(**options).remote(most_bytes)

    def dismiss(self, actor: Any) -> None:
        ray.kill(actor)

    def stay_on(self, nodes: Collection[str]) -> None:
        """Nobody works on any other node: what its workers shared goes too, and nothing keeps the node."""
        for node in self._libraries.keys() - set(nodes):
            ray.kill(self._libraries.pop(node))

    def run(self, actor: Any, assignment: Assignment) -> Any:
        """Has the actor carry the assignment out: a stream of what happens."""
        return actor.run.options(num_returns="streaming").remote(assignment)

    def call(self, actor: Any, method: str, key: str) -> Any:
        """Calls what a worker answers beside its work."""
        return getattr(actor, method).options(concurrency_group="control").remote(key)

    # What they tell

    def wait(self, waiting: Sequence[Any], timeout: float) -> list[Any]:
        """Those of the streams and answers that have something to tell; waits for one of them."""
        ready, _ = ray.wait(list(waiting), num_returns=1 if timeout else len(waiting), timeout=timeout)
        return ready

    def pulse(self, answer: Any) -> Pulse | None:
        """None when the worker is dead, which its stream tells too."""
        try:
            pulse: Pulse = ray.get(answer)
        except RayError:
            return None
        return pulse

    def next(self, stream: Any, key: str) -> PoolEvent:
        """What the attempt `key` tells next. Raises Gone."""
        try:
            event: PoolEvent = ray.get(next(stream))
        except RayTaskError as error:  # not even begun: the worker cannot load the table of objectives
            return Failed(key, FailureClass.ERROR, str(error.cause), str(error))
        except RayError as error:
            raise Gone(
                FailureClass.OOM if isinstance(error, OutOfMemoryError) else FailureClass.LOST, str(error)
            ) from error
        return event


class Library:
    """An actor that loads datasets once for all workers of its node, into the object store that they have in common.

    It outlives them, and what is in the store with it. The datasets that were asked for last stay, as many as fit into
    `most_bytes`.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes = most_bytes
        self._shared: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[tuple[str, str], threading.Lock] = {}

    def share(self, loader: str, place: str) -> Any:
        """A reference to the Source; None for one that is too large for the store. Raises what the loader raises."""
        key = (loader, place)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:  # others may ask for others meanwhile
            with self._lock:
                found = self._shared.get(key)
            if found is None:
                source = read(loader, place)
                size = size_of(source)
                found = (ray.put(source), size) if size <= self._most_bytes else (None, 0)
            with self._lock:
                self._shared[key] = found
                self._shared.move_to_end(key)
                while sum(size for _, size in self._shared.values()) > self._most_bytes:
                    self._shared.popitem(last=False)
        return [found[0]]  # in a list, for Ray would send what a bare reference leads to


class NodeShelf:
    """A worker's `workers.data.sharing.Shelf`: the datasets of its node's library, without copying them. It keeps hold
    of the last one only. What is too large to be shared, and all when the library fails, it loads for itself."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._own = OwnShelf()
        self._last: tuple[tuple[str, str], Source] | None = None

    def get(self, loader: str, place: str) -> Source:
        key = (loader, place)
        if self._last is None or self._last[0] != key:
            try:
                (reference,) = ray.get(self._library.share.remote(loader, place))
                source = None if reference is None else ray.get(reference)
            except RayTaskError:  # the loader raises: here too, as it would without a library
                source = None
            except RayError as error:
                logger.warning("%s is loaded once more: %s", loader, error)
                source = None
            if source is None:
                return self._own.get(loader, place)
            self._last = (key, source)
        return self._last[1]
