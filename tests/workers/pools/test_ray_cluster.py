"""A cluster of somebody's: nodes come, go, and are about to go; GPUs that exist on paper are shared."""

import json
import time
from pathlib import Path

import pytest
import ray
from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
from ray._private.state import actors
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.experimental.internal_kv import _internal_kv_get

from workers.pools.ray_pool import RayPool
from workers.protocol import Assignment, Ended, Failed, FailureClass, Finished, Preempted, Reported, Resources, Started

pytestmark = pytest.mark.slow

ONE = Resources()
EXTRA = {"object_store_memory": 100_000_000}


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parent)
        patch.syspath_prepend(here)
        patch.setenv("PYTHONPATH", here)
        patch.setenv("RAY_health_check_period_ms", "500")  # Ray declares a silent node dead after 15 s
        patch.setenv("RAY_health_check_timeout_ms", "500")
        head = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False, **EXTRA}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def join(cluster):
    pools = []

    def make(**settings):
        pools.append(RayPool(address=cluster.address, objectives="pool_probes:OBJECTIVES", **settings))
        return pools[-1]

    yield make
    for pool in pools:
        pool.shutdown()


def start(pool, key, kind, resources=ONE, **options):
    pool.submit(Assignment(key, {"type": kind, **options}, {}, 0, resources=resources))


def poll_until(pool, condition, seconds=60):
    events, deadline = [], time.monotonic() + seconds
    while not condition(events):
        assert time.monotonic() < deadline, f"waited in vain; so far {events}"
        events += pool.poll(0.5)
    return events


def until_ended(pool, *keys):
    return poll_until(pool, lambda events: {e.key for e in events if isinstance(e, Ended)} >= set(keys))


def until_reported(pool, *keys):
    return poll_until(pool, lambda events: {e.key for e in events if isinstance(e, Reported)} >= set(keys))


def test_four_quarters_run_on_one_gpu_a_fifth_waits_and_nobody_else_sees_it(join):
    pool = join()
    quarter = Resources(cpus=0.25, gpus=0.25)
    assert pool.capacity(quarter) == 4
    keys = [f"quarter-{number}" for number in range(4)]
    for key in keys:
        start(pool, key, "devices", quarter)
    assert pool.capacity(quarter) == 0
    start(pool, "plain", "devices", ONE)
    told = {e.key: e.report.metrics["devices"] for e in until_reported(pool, *keys, "plain") if isinstance(e, Reported)}
    assert told == {**dict.fromkeys(keys, 1), "plain": 0}, "all at once"
    pool.stop(keys[2])
    until_ended(pool, keys[2])
    assert pool.capacity(quarter) == 1
    assert pool.capacity(Resources(0.25, 1)) == 0
    start(pool, "fifth", "devices", quarter)
    until_reported(pool, "fifth")


def test_the_pool_grows_and_shrinks_with_the_cluster(cluster, join):
    pool = join()
    before = pool.capacity(ONE)
    node = cluster.add_node(num_cpus=3, **EXTRA)
    poll_until(pool, lambda _: pool.capacity(ONE) == before + 3)
    keys = [f"grown-{number}" for number in range(before + 3)]
    for key in keys:
        start(pool, key, "count", steps=100_000, seconds=0.05)
    until_reported(pool, *keys)
    cluster.remove_node(node, allow_graceful=False)
    lost = until_ended(pool, *sorted(keys, key=lambda key: pool._books.open[key].seat.node == node.node_id)[-3:])
    assert {e.failure for e in lost if isinstance(e, Failed)} == {FailureClass.LOST}
    poll_until(pool, lambda _: pool.capacity(ONE) == 0)
    assert len(pool._books.open) == before, "the others go on"


def test_the_runs_of_a_node_that_is_to_go_are_preempted(cluster, join):
    pool = join()
    wide = Resources(3)
    node = cluster.add_node(num_cpus=3, **EXTRA)
    poll_until(pool, lambda _: pool.capacity(wide) == 1)
    start(pool, "drained", "count", wide, steps=100_000, seconds=0.05)
    until_reported(pool, "drained")
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, why = GcsClient(address=cluster.address).drain_node(node.node_id, reason, "spot", 2**62)
    assert accepted, why
    end = until_ended(pool, "drained")[-1]
    assert isinstance(end, Preempted)
    assert end.step == end.result.metrics["value"]
    assert pool.capacity(wide) == 0
    cluster.remove_node(node)
    start(pool, "after", "count")
    assert isinstance(until_ended(pool, "after")[-1], Finished)


def test_idle_workers_go_after_a_while_and_come_again(join):
    pool = join(idle_seconds=1.0)
    start(pool, "warm", "count")
    until_ended(pool, "warm")
    poll_until(pool, lambda _: not pool._books.seats)
    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2 or any(one["State"] == "ALIVE" for one in actors().values()):
        assert time.monotonic() < deadline, "something is still held"
        time.sleep(0.2)
    assert pool.capacity(ONE) == 2
    start(pool, "cold", "reads", dataset="big")
    assert [type(e) for e in until_ended(pool, "cold")] == [Started, Reported, Finished]


def test_an_autoscaler_is_told_what_waits_beside_what_runs(join):
    pool = join()
    start(pool, "busy", "count", steps=100_000, seconds=0.05)
    pool.want({Resources(4, 0.5): 2})
    assert asked() == [{"CPU": 1}, {"CPU": 4, "GPU": 0.5}, {"CPU": 4, "GPU": 0.5}]
    pool.want({})
    assert asked() == []
    pool.want({ONE: 1})
    pool.shutdown()
    ray.init(address=pool._cluster._address, log_to_driver=False)
    try:
        assert asked() == [], "nobody waits any more"
    finally:
        ray.shutdown()


def asked():
    """What Ray's autoscaler would find."""
    found = _internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL)
    return [{name: n for name, n in entry.items() if n} for entry in map(resources_of, json.loads(found or "[]"))]


def resources_of(entry):
    return entry.get("resources", entry)
