"""The test functions have the optima and the values they are known for."""

import pytest

from search import Run, Slot
from search.testbed import Hartmann, box, sphere
from spaces import Space

OPTIMA = {3: (0.114614, 0.555649, 0.852547), 6: (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)}


@pytest.mark.parametrize(("dimensions", "centre"), [(3, -0.628022), (6, -0.505315)])
def test_hartmann(dimensions, centre):
    function = Hartmann(dimensions)
    assert function.value(OPTIMA[dimensions]) == pytest.approx(function.minimum, abs=1e-6)
    assert function.value([0.5] * dimensions) == pytest.approx(centre, abs=1e-6)


def test_the_bias_of_low_fidelities():
    function = Hartmann(3)
    values = [function.value(OPTIMA[3], fidelity) for fidelity in (1, 10, 100)]
    assert values == pytest.approx([-3.076186, -3.469483, -3.862780], abs=1e-6)


def test_noise_shrinks_to_none_at_the_highest_fidelity():
    function = Hartmann(3, bias=0)
    config = dict(zip("abc", OPTIMA[3], strict=True))
    losses = [function.run(Run(number, 0, config, Slot(fidelity=z))).loss for number in range(5) for z in (1, 100)]
    assert all(loss > 1e-4 for loss in losses[::2])
    assert len(set(losses[::2])) == 5
    assert losses[1::2] == pytest.approx([0] * 5, abs=1e-6)


def test_spaces_are_spaces():
    assert len(Space.from_json(box(2, -5, 5))) == 2
    assert Space.from_json(Hartmann(6).space).fidelity.high == 100
    assert sphere({"x0": 3.0, "x1": -4.0}) == 25
