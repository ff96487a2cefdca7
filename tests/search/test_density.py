"""Kernels, widths and densities, against worked examples, sums and integrals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from search.density import normal
from search.density.axes import Axes, Cells
from search.density.kde import KDE, aitchison_aitken, normal_reference, wang_van_ryzin
from search.density.mixture import Correction, Table, log_sum, product
from search.density.parzen import Law, Parzen
from search.density.proposals import best_first
from search.density.tables import packs
from spaces import Space

EVERYTHING = Space.from_json(
    {
        "parameters": [
            {"name": "c", "type": "categorical", "choices": ["p", "q", "r"]},
            {"name": "x", "type": "float", "low": 0, "high": 10},
            {"name": "one", "type": "constant", "value": 1},
            {"name": "n", "type": "int", "low": 1, "high": 8, "log": True},
            {"name": "y", "type": "float", "low": 1e-4, "high": 1, "log": True},
            {"name": "o", "type": "ordinal", "choices": ["low", "mid", "high"]},
            {"name": "many", "type": "int", "low": 1, "high": 1_000_000},
            {"name": "b", "type": "bool"},
        ]
    }
)


OPTUNA = {"floor": 0.01, "exponent": 1.0}


def wide(domain):
    return Cells.of(domain).widest <= 1e-3


def space(*parameters):
    return Space.from_json({"parameters": list(parameters)})


def parzen(of, points, weights=None, **law):
    axes = Axes.of(of, range(len(of)), wide)
    density = Parzen(axes, Law(**law))
    density.add(axes.read(np.asarray(points, dtype=float)))
    density.select(np.ones(len(points), dtype=bool), np.ones(len(points)) if weights is None else weights)
    return axes, density


X = {"name": "x", "type": "float", "low": 0, "high": 1}


def test_truncated_normals():
    mean, sd = np.array([0.5, 0.9]), np.array([0.25, 0.25])
    assert np.exp(-normal.LOG_SQRT_2PI - np.log(sd) - normal.log_normaliser(mean, sd)) == pytest.approx(
        [1.671838, 2.435312], abs=1e-6
    )
    u = (np.arange(200_000) + 0.5) / 200_000
    assert normal.draw(u, np.array(0.9), np.array(0.25)).mean() == pytest.approx(0.759729, abs=1e-5)
    assert normal.draw(u, np.array(0.5), np.array(0.25)).std() == pytest.approx(0.219906, abs=1e-5)


def test_masses_far_from_the_mean_keep_their_digits():
    lower, upper = np.array([0.9, 0.05]), np.array([0.95, 0.1])
    masses = normal.log_mass(lower, upper, np.array(0.5), np.array(0.02))
    assert masses == pytest.approx([-203.917155] * 2, abs=1e-6), "ln of the normal distribution at -20"
    assert np.isfinite(normal.log_mass(np.array(0.9), np.array(1.0), np.array(0.0), np.array(0.01)))


def test_axes_are_sorted_by_kind_and_constants_left_out():
    axes = Axes.of(EVERYTHING, range(8), wide)
    assert axes.smooth == (1, 4, 6)
    assert axes.cells == (3, 5)
    assert axes.rows.count.tolist() == [8, 3]
    assert (axes.choices, axes.counts.tolist()) == ((0, 7), [3, 2])


@given(st.integers(0, 2**32 - 1))
def test_reading_and_writing_coordinates_keeps_the_config(seed):
    axes = Axes.of(EVERYTHING, range(8), wide)
    config = EVERYTHING.sample(np.random.default_rng(seed))
    coordinates = axes.read(EVERYTHING.encode(config)[None])
    snapped = coordinates.copy()
    axes.snap(snapped)
    assert snapped == pytest.approx(coordinates)
    point = np.full(8, np.nan)
    axes.write(coordinates[0], point)
    written = EVERYTHING.decode(point)
    assert written["x"] == pytest.approx(config.pop("x"))
    assert written["y"] == pytest.approx(config.pop("y"))
    assert config.items() <= written.items()


@pytest.mark.parametrize(("count", "log"), [(2, False), (7, False), (8, True), (241, True)])
def test_cells_agree_with_the_space(count, log):
    domain = space({"name": "n", "type": "int", "low": 3, "high": 2 + count, "log": log})["n"].domain
    cells = Cells.of(domain)
    index = np.arange(count)
    assert cells.centre(index) == pytest.approx([domain.to_unit(value) for value in range(3, 3 + count)])
    assert cells.cell(cells.centre(index)).tolist() == index.tolist()
    assert cells.edge(np.array([0, count])) == pytest.approx([0, 1])
    inside = np.random.default_rng(0).random(200)
    assert cells.cell(inside).tolist() == [domain.from_unit(u) - 3 for u in inside]
    assert cells.widest == pytest.approx(np.diff(cells.edge(np.arange(count + 1))).max())


class TestParzen:
    def test_densities_of_the_worked_example(self):
        of = space(X)
        _, below = parzen(of, [[0.2], [0.3]], **OPTUNA)
        _, above = parzen(of, [[0.5], [0.7], [0.9]], **OPTUNA)
        at = np.array([[0.25], [0.5], [0.8]])
        assert np.exp(below.log_density(at)) == pytest.approx([1.589604, 1.113820, 0.451498], abs=1e-6)
        assert np.exp(above.log_density(at)) == pytest.approx([0.529820, 1.187207, 1.521088], abs=1e-6)
        assert (below.log_density(at) - above.log_density(at))[0] == pytest.approx(1.098703, abs=1e-6)

    def test_masses_of_integers_on_a_log_scale(self):
        of = space({"name": "n", "type": "int", "low": 1, "high": 8, "log": True})
        _, density = parzen(of, [of.encode({"n": n}) for n in (1, 2)], **OPTUNA)
        values = np.array([of.encode({"n": n}) for n in range(1, 9)])
        assert np.exp(density.log_density(values)) == pytest.approx(
            [0.459189, 0.234889, 0.121065, 0.069566, 0.044243, 0.030626, 0.022692, 0.017730], abs=1e-6
        )

    def test_probabilities_of_choices(self):
        of = space({"name": "c", "type": "categorical", "choices": ["a", "b", "c"]})
        _, density = parzen(of, [of.encode({"c": c}) for c in "aab"])
        assert np.exp(density.log_density(np.arange(3.0)[:, None])) == pytest.approx(
            [0.476190, 0.333333, 0.190476], abs=1e-6
        )
        equal, other = Law().choices(3, np.array([3.0]))
        assert (equal[0], other[0]) == pytest.approx((0.714286, 0.142857), abs=1e-6)
        equal, other = Law(choice=0.2).choices(3, np.array([3.0]))
        assert (equal[0], other[0]) == pytest.approx((0.8, 0.1))

    def test_scotts_widths(self):
        assert Law("scott").scott(5, 2) == pytest.approx(0.152945, abs=1e-6)
        assert Law("scott").scott(10, 4) == pytest.approx(0.149979, abs=1e-6)

    def test_least_widths(self):
        assert [Law(**OPTUNA).least(n) for n in (0, 2, 98, 5000)] == [0.5, 0.25, 0.01, 0.01]
        assert Law(floor=0.03, exponent=2).least(3) == pytest.approx(0.04)

    def test_without_observations_the_density_is_the_prior(self):
        axes, density = parzen(EVERYTHING, np.empty((0, 8)))
        candidates = density.draw(np.random.default_rng(0), 500)
        assert np.isfinite(density.log_density(candidates)).all()
        for column, index in ((0, len(axes) - 2), (7, len(axes) - 1)):
            share = np.bincount(candidates[:, index].astype(int)) / 500
            assert share == pytest.approx(1 / EVERYTHING.parameters[column].domain.count, abs=0.07)

    @pytest.mark.parametrize("law", [{}, {"bandwidth": "scott"}, {"choice": 0.3}, {"floor": 0.1, "exponent": 2}])
    @pytest.mark.parametrize("observed", [0, 1, 2, 60])
    def test_probabilities_sum_to_one(self, law, observed):
        of = space(
            {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "n", "type": "int", "low": 1, "high": 9},
            {"name": "m", "type": "int", "low": 1, "high": 20, "log": True},
        )
        rng = np.random.default_rng(observed)
        points = np.array([of.encode(of.sample(rng)) for _ in range(observed)]).reshape(observed, 3)
        axes, density = parzen(of, points, rng.random(observed), **law)
        grid = np.array([of.encode(config) for config in of.enumerate()])
        assert np.exp(density.log_density(axes.read(grid))).sum() == pytest.approx(1)

    @pytest.mark.parametrize("bandwidth", ["neighbours", "scott"])
    def test_the_density_integrates_to_one(self, bandwidth):
        points = np.random.default_rng(1).random((40, 2))
        _, density = parzen(space(X, {**X, "name": "y"}), points, bandwidth=bandwidth)
        middle = (np.arange(400) + 0.5) / 400
        grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
        assert np.exp(density.log_density(grid)).mean() == pytest.approx(1, abs=1e-4)

    def test_draws_follow_the_density(self):
        """Frequencies of cells and choices, and of the tenths of a float, against the density's masses."""
        of = space(
            {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "n", "type": "int", "low": 1, "high": 5, "log": True},
        )
        axes, density = parzen(of, [of.encode({"c": c, "n": n}) for c, n in (("a", 1), ("b", 5), ("b", 4))])
        drawn = density.draw(np.random.default_rng(0), 20_000)
        grid = axes.read(np.array([of.encode(config) for config in of.enumerate()]))
        frequency = [(np.abs(drawn - row).sum(axis=1) < 1e-9).mean() for row in grid]
        assert frequency == pytest.approx(np.exp(density.log_density(grid)), abs=0.012)
        _, density = parzen(space(X), [[0.1], [0.15], [0.8]])
        shares, _ = np.histogram(density.draw(np.random.default_rng(0), 20_000), bins=10, range=(0, 1))
        fine = ((np.arange(1000) + 0.5) / 1000)[:, None]
        masses = np.exp(density.log_density(fine)).reshape(10, 100).mean(axis=1) / 10
        assert shares / 20_000 == pytest.approx(masses, abs=0.012)

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), floor=st.sampled_from([0.01, 0.03, 0.3]), coarse=st.booleans())
    def test_what_is_kept_equals_what_is_made_anew(self, seed, floor, coarse):
        """Rows come, join and leave; after each step the density is that of a new one, to the last bit."""
        rng = np.random.default_rng(seed)
        axes = Axes.of(EVERYTHING, range(8), wide)
        law = Law(floor=floor, exponent=2)
        kept, points, live = Parzen(axes, law), np.empty((0, 8)), np.empty(0, dtype=bool)
        candidates = axes.read(np.array([EVERYTHING.encode(EVERYTHING.sample(rng)) for _ in range(5)]))
        for _ in range(40):
            new = np.array([EVERYTHING.encode(EVERYTHING.sample(rng)) for _ in range(rng.integers(3))]).reshape(-1, 8)
            if coarse:  # many equal positions
                new[:, 1] = np.round(new[:, 1], 1)
            points, live = np.concatenate((points, new)), np.concatenate((live, rng.random(len(new)) < 0.9))
            flipped = rng.random(len(live)) < 0.05
            live = live ^ flipped
            weights = rng.random(live.sum()) + 0.1
            kept.add(axes.read(new))
            kept.select(live, weights)
            anew = Parzen(axes, law)
            anew.add(axes.read(points))
            anew.select(live, weights)
            assert kept.log_density(candidates).tolist() == anew.log_density(candidates).tolist()

    @pytest.mark.parametrize("law", [{}, {"bandwidth": "scott"}])
    def test_tables_of_large_mixtures_equal_sums_over_their_rows(self, law, monkeypatch):
        """With many rows the kernels of cells and choices are looked up, and kept; with few they are computed."""
        of = space(
            X,
            *({"name": f"n{i}", "type": "int", "low": 1, "high": 3 * i} for i in range(1, 5)),
            {"name": "w", "type": "int", "low": 1, "high": 60, "log": True},
            {"name": "v", "type": "int", "low": 8, "high": 4000, "log": True},
            {"name": "o", "type": "ordinal", "choices": [1, 2, 4, 8]},
            *({"name": f"c{i}", "type": "categorical", "choices": list("abcde")[: i + 1]} for i in range(1, 5)),
        )
        rng = np.random.default_rng(0)
        axes = Axes.of(of, range(len(of)), wide)
        kept, points = Parzen(axes, Law(**law)), np.empty((0, len(of)))
        monkeypatch.setattr("search.density.tables.KEPT", 5000)  # so they are forgotten now and then
        for number in (40, 100, 1, 1, 1, 300, 3000, 2):
            points = np.concatenate((points, [of.encode(of.sample(rng)) for _ in range(number)]))
            live = rng.random(len(points)) < 0.95
            weights = rng.random(live.sum())
            kept.add(axes.read(points[len(points) - number :]))
            kept.select(live, weights)
            anew = Parzen(axes, Law(**law))
            anew.add(axes.read(points))
            anew.select(live, weights)
            candidates = axes.read(np.array([of.encode(of.sample(rng)) for _ in range(24)]))
            assert kept.log_density(candidates).tolist() == anew.log_density(candidates).tolist()
            with monkeypatch.context() as patched:
                patched.setattr("search.density.parzen.FEW_ROWS", 10_000)
                assert kept.log_density(candidates) == pytest.approx(anew.log_density(candidates), abs=1e-9)

    def test_parameters_share_a_table_as_long_as_it_is_small(self):
        counts = (12, 2, 1017, 5, 5, 12, 4)
        found = packs(counts)
        assert sorted(itertools.chain(*found)) == list(range(7))
        assert [[counts[index] for index in pack] for pack in found] == [[1017], [12, 12, 2], [5, 5, 4]]


def test_sums_over_components_do_not_depend_on_their_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    left, right, code = rng.normal(size=(1000, 3)) * 20, rng.normal(size=(3, 7)), rng.integers(5, size=1000)
    table, weights = Table(rng.normal(size=(5, 7)), code), rng.random(1000)
    correction = Correction(rng.normal(size=(40, 7)), np.sort(rng.permutation(1000)[:40]))
    kernels = left @ right + table.log_factor[code]
    kernels[correction.rows] += correction.log_factor
    expected = logsumexp(kernels, axis=0, b=weights[:, None])
    for block, work in ((2**15, 2**18), (700, 60), (7, 1)):
        monkeypatch.setattr("search.density.mixture.BLOCK", block)
        monkeypatch.setattr("search.density.mixture.WORK", work)
        found = log_sum(7, weights, lambda part: product(left[part], right), [table], correction)
        assert found == pytest.approx(expected, abs=1e-10)
    assert log_sum(7, np.zeros(1000), lambda part: product(left[part], right)).tolist() == [-np.inf] * 7
    assert log_sum(7, np.empty(0), lambda part: product(left[part], right)).tolist() == [-np.inf] * 7


def test_ratios_that_differ_by_round_off_are_tied():
    assert best_first(np.array([1.0, 3.0, 2.0 - 1e-13, 2.0, -np.inf])).tolist() == [1, 2, 3, 0, 4]


class TestKDE:
    def test_widths_of_the_worked_example(self):
        assert normal_reference(np.array([[0.1, 0.2], [0.2, 0.4], [0.4, 0.3]])) == pytest.approx(
            [0.110085, 0.072068], abs=1e-6
        )

    def test_wang_and_van_ryzins_kernel(self):
        kernel = wang_van_ryzin(0.3, 4, np.arange(4), np.array(1))
        assert kernel == pytest.approx([0.111524, 0.743494, 0.111524, 0.033457], abs=1e-6)
        for count, width, observed in itertools.product((2, 3, 7), (0.001, 0.4), (0, 1)):
            assert wang_van_ryzin(width, count, np.arange(count), np.array(observed)).sum() == pytest.approx(1)

    def test_aitchison_and_aitkens_kernel(self):
        assert aitchison_aitken(0.3, 4, np.arange(4), np.array(1)) == pytest.approx([0.1, 0.7, 0.1, 0.1])

    def test_probabilities_sum_to_one(self):
        of = space(
            {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "o", "type": "ordinal", "choices": [1, 2, 4, 8]},
        )
        axes = Axes.of(of, range(2), lambda domain: domain.numeric)
        rng = np.random.default_rng(0)
        density = KDE(axes, axes.read(np.array([of.encode(of.sample(rng)) for _ in range(12)])), 1e-3)
        grid = axes.read(np.array([of.encode(config) for config in of.enumerate()]))
        assert np.exp(density.log_density(grid)).sum() == pytest.approx(1)

    def test_the_density_is_a_mean_of_normals(self):
        data = np.array([[0.1, 0.2], [0.2, 0.4], [0.4, 0.3]])
        axes = Axes.of(space(X, {**X, "name": "y"}), range(2), lambda domain: True)
        h = np.array([0.110085, 0.072068])
        at = np.array([0.3, 0.3])
        kernels = np.exp(-0.5 * ((at - data) / h) ** 2) / (h * np.sqrt(2 * np.pi))
        found = KDE(axes, data, 1e-3).log_density(at[None])
        assert np.exp(found) == pytest.approx([kernels.prod(axis=1).mean()], rel=1e-4)

    def test_a_single_level_and_a_single_place_keep_a_width(self):
        of = space(X, {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]})
        axes = Axes.of(of, range(2), lambda domain: domain.numeric)
        density = KDE(axes, np.array([[0.2, 1.0]] * 4), 1e-3)
        assert density.width.tolist() == [1e-3, 1e-3]
        drawn = density.draw_around(np.random.default_rng(0), 4000, 3.0)
        assert drawn[:, 0].std() == pytest.approx(0.003, abs=2e-4)
        assert ((drawn[:, 0] >= 0) & (drawn[:, 0] <= 1)).all()
        assert (drawn[:, 1] == 1).mean() > 0.99
        assert np.isfinite(density.log_density(np.array([[0.2, 0.0], [0.9, 2.0]]))).all()
