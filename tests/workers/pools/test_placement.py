"""How many runs of a shape fit into what is left of a node, and on which of its GPUs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.pools.placement import Room
from workers.protocol import Resources

HALF = Resources(cpus=0, gpus=0.5)


@pytest.mark.parametrize(
    ("free", "shape", "number"),
    [
        (Resources(4, 0), Resources(1, 0), 4),
        (Resources(4, 0), Resources(3, 0), 1),
        (Resources(4, 0), Resources(5, 0), 0),
        (Resources(8, 1), Resources(1, 1), 1),
        (Resources(8, 0), Resources(1, 1), 0),
        (Resources(8, 4), Resources(1, 2), 2),
        (Resources(16, 1), Resources(1, 0.1), 10),
        (Resources(16, 2), Resources(1, 0.6), 2),
        (Resources(0.9999999999, 0), Resources(0.1, 0), 10),
        (Resources(-1, 0), Resources(1, 0), 0),
    ],
)
def test_places(free, shape, number):
    assert Room.of(free).places(shape) == number


def test_a_shape_that_takes_nothing_fits_anywhere_any_number_of_times():
    assert Room.of(Resources(0, 0)).places(Resources(0, 0)) > 1_000_000


def test_a_share_goes_where_least_is_left():
    room = Room.of(Resources(8, 2))
    first = room.choose(HALF)
    room = room.without(HALF, first)
    assert room.choose(HALF) == first
    assert room.choose(Resources(1, 1)) == tuple({0, 1} - set(first))


def test_halves_of_two_gpus_are_no_whole_one():
    room = Room(8, (0.5, 0.5))
    assert room.places(Resources(0, 1)) == 0
    assert room.places(HALF) == 2


@given(
    gpus=st.integers(1, 4),
    shapes=st.lists(st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.6, 1, 2]).map(lambda n: Resources(0, n)), max_size=30),
)
def test_no_gpu_is_given_twice(gpus, shapes):
    """What is placed fits, one after another; what has no place would fit on no GPU."""
    room = Room.of(Resources(0, gpus))
    for shape in shapes:
        if room.places(shape):
            chosen = room.choose(shape)
            room = room.without(shape, chosen)
            assert len(chosen) == max(1, int(shape.gpus))
            assert all(free >= -1e-9 for free in room.gpus)
        else:
            enough = [free for free in room.gpus if free >= min(1.0, shape.gpus) - 1e-12]
            assert len(enough) < max(1, int(shape.gpus))


def test_ten_tenths_of_a_gpu_leave_room_for_none():
    tenth, room = Resources(cpus=0, gpus=0.1), Room.of(Resources(8, 1))
    for left in range(10, 0, -1):
        assert room.places(tenth) == left
        room = room.without(tenth, room.choose(tenth))
    assert room.places(tenth) == 0
