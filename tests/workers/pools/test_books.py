"""Where the next worker goes and which idle ones give way to it."""

import math

from workers.pools.books import Books, Open, Seat
from workers.pools.vigil import Vigil
from workers.protocol import Assignment, Resources

ONE = Resources()
GPU = Resources(1, 1)


def books(nodes, *seats, workers=None):
    made = Books(workers)
    made.update(nodes)
    made.seats += seats
    return made


def start(made, seat, key="key"):
    made.open[key] = Open(seat, stream=object(), vigil=Vigil(Assignment(key, {}, {}, 0, resources=seat.shape)))


def seat(node="a", shape=ONE, gpus=(), since=0.0):
    return Seat(actor=object(), node=node, shape=shape, gpus=gpus, since=since)


def test_a_free_worker_of_the_shape_is_taken_the_latest_first():
    first, second, other = seat(), seat(), seat(shape=GPU)
    made = books({"a": Resources(4, 1)}, first, second, other)
    assert made.idle(ONE) is second
    start(made, second)
    assert made.idle(ONE) is first
    start(made, first, "another")
    assert made.idle(ONE) is None
    assert made.idle(GPU) is other


def test_a_new_worker_goes_where_most_room_is():
    made = books({"a": Resources(2, 0), "b": Resources(4, 0)}, seat("b"))
    assert made.place(ONE) == ("b", [])
    assert made.spare(ONE) == "b"


def test_as_many_idle_workers_give_way_as_must_and_no_busy_one():
    busy, first, second, third = seat(), seat(), seat(), seat()
    made = books({"a": Resources(4, 0)}, busy, first, second, third)
    start(made, busy)
    assert made.capacity(Resources(2)) == 1
    assert made.place(Resources(2)) == ("a", [first, second])
    assert made.spare(ONE) is None


def test_the_bound_on_the_workers_holds_beside_the_resources():
    made = books({"a": Resources(8, 0)}, seat(), workers=2)
    assert made.capacity(ONE) == 2
    start(made, made.seats[0])
    assert made.capacity(ONE) == 1
    assert made.spare(ONE) == "a"
    made.seats.append(seat())
    assert made.spare(ONE) is None


def test_the_idle_workers_of_a_node_vanish_with_it():
    lost, busy, left = seat("a"), seat("a"), seat("b")
    made = books({"a": Resources(2), "b": Resources(1)}, lost, busy, left)
    start(made, busy)
    assert made.update({"b": Resources(1)}) == [lost]
    assert made.seats == [busy, left]
    assert made.idle(ONE) is left


def test_without_nodes_there_is_no_room():
    made = books({"a": Resources(2)}, seat())
    made.clear()
    assert made.capacity(ONE) == 0
    assert made.idle(ONE) is None
    assert made.spare(ONE) is None


def test_without_a_bound_parts_of_a_cpu_count():
    made = books({"a": Resources(2)})
    assert made.capacity(Resources(0.5)) == 4
    assert made.capacity(ONE) == 2
    assert made.capacity(Resources(0)) == 2


def test_runs_share_a_gpu_and_the_next_one_waits():
    quarter = Resources(1, 0.25)
    made = books({"a": Resources(8, 1)})
    for number in range(4):
        assert made.capacity(quarter) == 4 - number
        node, leaving = made.place(quarter)
        assert not leaving
        start(made, made.seat(object(), node, quarter, 0.0), str(number))
    assert made.capacity(quarter) == 0
    assert made.capacity(ONE) == 4
    del made.open["2"]
    assert made.capacity(quarter) == 1
    assert made.capacity(GPU) == 0, "three others are there yet"


def test_what_needs_no_gpu_leaves_the_nodes_that_have_them_to_others():
    made = books({"gpus": Resources(8, 4), "plain": Resources(2)})
    assert made.place(ONE) == ("plain", [])
    assert made.place(GPU) == ("gpus", [])
    for number in range(2):
        start(made, made.seat(object(), "plain", ONE, 0.0), str(number))
    assert made.place(ONE) == ("gpus", [])


def test_who_has_had_nothing_to_do_for_long_may_go():
    early, late, busy = seat(since=1.0), seat(since=5.0), seat(since=0.0)
    made = books({"a": Resources(4)}, early, late, busy)
    start(made, busy)
    assert made.idle_since(2.0) == [early]
    assert made.idle_since(-math.inf) == []
