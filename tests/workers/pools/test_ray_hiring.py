"""Hiring a worker asks Ray nothing: what was last read of the nodes has to do."""

from workers.pools.ray_cluster import SHARED_PART, RayCluster
from workers.protocol import Resources

ALIVE = "1" * 56


class Remote:
    """Stands for an actor's class: remembers with what it was made."""

    def __init__(self):
        self.made = []

    def options(self, **_):
        return self

    def remote(self, *arguments):
        self.made.append(arguments)
        return self


def test_a_worker_is_hired_on_a_node_that_has_died_since():
    cluster = RayCluster(None, 1, 0)
    cluster._worker_class, cluster._library_class = Remote(), Remote()
    cluster._store_bytes = {ALIVE: 100.0}
    for node in ("0" * 56, ALIVE):
        cluster.hire(node, Resources(), "table")
    assert cluster._library_class.made == [(0.0,), (SHARED_PART * 100,)]
    assert len(cluster._worker_class.made) == 2
