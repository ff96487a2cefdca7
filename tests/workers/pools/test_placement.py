"""How many runs of a shape fit into what is left of a node."""

import pytest

from workers.pools.placement import places, remaining
from workers.protocol import Resources


@pytest.mark.parametrize(
    ("free", "shape", "number"),
    [
        (Resources(4, 0), Resources(1, 0), 4),
        (Resources(4, 0), Resources(3, 0), 1),
        (Resources(4, 0), Resources(5, 0), 0),
        (Resources(8, 1), Resources(1, 1), 1),
        (Resources(8, 0), Resources(1, 1), 0),
        (Resources(16, 1), Resources(1, 0.1), 10),
        (Resources(0.9999999999, 0), Resources(0.1, 0), 10),
        (Resources(-1, 0), Resources(1, 0), 0),
    ],
)
def test_places(free, shape, number):
    assert places(free, shape) == number


def test_ten_tenths_of_a_gpu_leave_room_for_none():
    tenth = Resources(cpus=0, gpus=0.1)
    assert places(remaining(Resources(8, 1), [tenth] * 9), tenth) == 1
    assert places(remaining(Resources(8, 1), [tenth] * 10), tenth) == 0


def test_a_shape_that_takes_nothing_fits_anywhere_any_number_of_times():
    assert places(Resources(0, 0), Resources(0, 0)) > 1_000_000
