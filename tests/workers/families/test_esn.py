from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from workers.catalogue import Facts
from workers.data.loading import Data, Examples
from workers.families.esn.network import EchoState, build
from workers.families.esn.ridge import Ridge, softmax_scale
from workers.training.learner import Epoch, Learner
from workers.training.settings import Settings
from workers.training.streams import stream

SERIES = Facts(task="forecasting", inputs="sequence", shape=(20, 1), outputs=1)
CLASSES = Facts(task="classification", inputs="sequence", shape=(20, 2), outputs=3)


def drawn(settings: Settings, facts: Facts = SERIES) -> EchoState:
    network = EchoState(settings, facts)
    network.draw(stream(0, "initialization"))
    return network


def epoch_of(learner: Learner, examples: Examples, number: int = 0) -> Epoch:
    def stream_of(purpose: Any, at: torch.device | None = None) -> torch.Generator:
        return stream(0, purpose, number, at)

    device, nothing = torch.device("cpu"), torch.no_grad
    return Epoch(number, 1, examples, learner.settings, learner.optimizers(), device, nothing, stream_of)


def windows(n: int = 80) -> Examples:
    """The quadratic map: a series that its last value says all about."""
    values = [0.3]
    for _ in range(n + 20):
        values.append(3.8 * values[-1] * (1 - values[-1]))
    series = torch.tensor(values)
    return Examples(series.unfold(0, 20, 1)[:n, :, None].contiguous(), series[20 : n + 20, None].contiguous())


@pytest.mark.parametrize("radius", [0.3, 1.2])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_the_reservoir_is_as_it_was_asked_for(radius: float, density: float, settings: Callable[..., Settings]) -> None:
    network = drawn(settings("esn", width=100, spectral_radius=radius, density=density, input_scale=0.5))
    assert float(torch.linalg.eigvals(network.within).abs().max()) == pytest.approx(radius, rel=1e-3)
    assert float((network.within != 0).float().mean()) == pytest.approx(density, abs=0.02)
    assert 0.45 < float(network.inward.abs().max()) <= 0.5
    assert not [name for name, _ in network.named_parameters() if name != "readout"]


def test_a_reservoir_without_connections_has_no_memory(settings: Callable[..., Settings]) -> None:
    network = drawn(settings("esn", width=20, density=0.0, leak=1.0))
    x = torch.randn(2, 20, 1, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.read(x)[:, 2:], torch.tanh(x[:, -1] @ network.inward.T + network.bias))


def test_states_follow_jaegers_equation(settings: Callable[..., Settings]) -> None:
    network = drawn(settings("esn", width=7, leak=0.3, quadratic=True, washout=0.75, density=1.0))
    x = torch.randn(2, 20, 1, generator=torch.Generator().manual_seed(0))
    h = torch.zeros(2, 7)
    readings = network.readings(x)
    assert readings.shape == (2, 5, 1 + 1 + 2 * 7)
    for t in range(20):
        h = 0.7 * h + 0.3 * torch.tanh(x[:, t] @ network.inward.T + h @ network.within.T + network.bias)
        if t >= 15:
            expected = torch.cat([torch.ones(2, 1), x[:, t], h, h**2], dim=1)
            torch.testing.assert_close(readings[:, t - 15], expected)


def test_echoes_fade(settings: Callable[..., Settings]) -> None:
    """What two sequences began with no longer matters after many equal steps: the echo state property."""
    network = drawn(settings("esn", width=50, spectral_radius=0.8, leak=1.0))
    x = torch.randn(2, 20, 1, generator=torch.Generator().manual_seed(0))
    x = torch.cat([x, x[:1].repeat(2, 10, 1)], dim=1)
    first, second = network.read(x)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


def test_the_washout_leaves_the_last_step_at_least(settings: Callable[..., Settings]) -> None:
    x = torch.zeros(1, 20, 1)
    steps = [drawn(settings("esn", width=5, washout=part)).readings(x).shape[1] for part in (0, 0.5, 0.99, 1)]
    assert steps == [20, 10, 1, 1]


def rows(n: int = 30) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    reads = torch.randn(n, 6, generator=rng, dtype=torch.float64)
    reads[:, 0] = 1
    return reads, torch.randn(n, 2, generator=rng, dtype=torch.float64) + 3


def test_the_readout_is_the_ridge_regression_of_the_centred_rows() -> None:
    reads, targets = rows()
    fit = Ridge([(reads[:11], targets[:11]), (reads[11:], targets[11:])], ridge=2.0, examples=len(reads))
    centred, goal = reads[:, 1:] - reads[:, 1:].mean(dim=0), targets - targets.mean(dim=0)
    slopes = torch.linalg.solve(centred.T @ centred + 2 * torch.eye(5, dtype=torch.float64), centred.T @ goal)
    torch.testing.assert_close(fit.weights[:, 1:], slopes.T)
    torch.testing.assert_close(fit.weights[:, 0], targets.mean(dim=0) - reads[:, 1:].mean(dim=0) @ slopes)
    squares = (reads @ fit.weights.T - targets).square().mean()
    assert fit.error([(reads, targets)]) == pytest.approx(float(squares))


def test_an_example_with_several_rows_counts_as_one() -> None:
    """Windows that overlap show the readout each value many times, which makes no value better known."""
    reads, targets = rows()
    once = Ridge([(reads, targets)], 0.5, examples=30)
    thrice = Ridge([(reads.repeat(3, 1), targets.repeat(3, 1))], 0.5, examples=30)
    torch.testing.assert_close(once.weights, thrice.weights)


def test_left_out_answers_are_those_of_a_fit_to_the_others() -> None:
    reads, targets = rows()
    ((answers, _),) = Ridge([(reads, targets)], 0.5, len(reads)).left_out([(reads, targets)])
    for i in range(5):
        others = torch.arange(len(reads)) != i
        fit = Ridge([(reads[others], targets[others])], 0.5, len(reads) - 1)
        torch.testing.assert_close(answers[i], fit.weights @ reads[i])


def test_scores_become_logits_of_the_right_sharpness() -> None:
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(4000, 3, generator=rng, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(5 * scores, dim=1), 1, generator=rng)[:, 0]
    assert float(softmax_scale(scores, labels)) == pytest.approx(5, rel=0.15)


def test_it_learns_a_map_in_one_epoch_and_nothing_more_in_the_next(settings: Callable[..., Settings]) -> None:
    examples = windows()
    learner = build(settings("esn", width=80, ridge=1e-6, input_scale=1.0), SERIES)
    learner.prepare(Data(examples, examples))
    first = learner.train_epoch(epoch_of(learner, examples))
    readout = [parameter.clone() for parameter in learner.parameters()]
    scores = learner.evaluate(examples, stream(0, "evaluation"))
    assert scores["nrmse"] < 0.02
    assert learner.train_epoch(epoch_of(learner, examples, number=1)) == first
    assert all(torch.equal(one, two) for one, two in zip(readout, learner.parameters(), strict=True))


def test_errors_are_measured_against_the_deviation_of_what_is_predicted(settings: Callable[..., Settings]) -> None:
    """A readout of nothing but the training mean: on targets of another spread it still has about their deviation."""
    examples = windows()
    learner = build(settings("esn", width=10, ridge=1e6), SERIES)
    learner.prepare(Data(examples, examples))
    learner.train_epoch(epoch_of(learner, examples))
    assert examples.targets is not None
    mean = examples.targets.mean()
    wide = Examples(examples.inputs, mean + 3 * (examples.targets - mean))
    with torch.no_grad():
        assert learner.evaluate(wide, stream(0, "evaluation"))["nrmse"] == pytest.approx(1, abs=0.01)
        alike = Examples(examples.inputs, torch.full_like(examples.targets, float(mean)))
        assert learner.evaluate(alike, stream(0, "evaluation"))["nrmse"] < 0.05


def test_missing_values_of_a_series_are_no_targets(settings: Callable[..., Settings]) -> None:
    examples = windows()
    examples.inputs[:, 15] = torch.nan
    learner = build(settings("esn", width=30, washout=0.5), SERIES)
    learner.prepare(Data(examples, examples))
    assert 0 < learner.train_epoch(epoch_of(learner, examples)) < 1
    assert all(torch.isfinite(parameter).all() for parameter in learner.parameters())


def test_numbers_that_are_not_of_the_series_follow_from_the_last_step(settings: Callable[..., Settings]) -> None:
    facts = Facts(task="forecasting", inputs="sequence", shape=(20, 1), outputs=2)
    source = windows()
    assert source.targets is not None
    examples = Examples(source.inputs, torch.cat([source.targets, -source.targets], dim=1))
    learner = build(settings("esn", width=80, ridge=1e-6, input_scale=1.0), facts)
    learner.prepare(Data(examples, examples))
    learner.train_epoch(epoch_of(learner, examples))
    answers = learner(examples.inputs)
    torch.testing.assert_close(answers[:, 0], -answers[:, 1], atol=1e-3, rtol=0)


def test_it_tells_frequencies_apart(settings: Callable[..., Settings]) -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    phase = 6.28 * torch.rand(90, 1, generator=rng)
    angle = (labels[:, None] + 1) * torch.arange(20) * 0.5 + phase
    examples = Examples(torch.stack([angle.sin(), angle.cos()], dim=2), labels)
    learner = build(settings("esn", width=50, quadratic=True, input_scale=1.0), CLASSES)  # the means alone are near 0
    learner.prepare(Data(examples, examples))
    learner.train_epoch(epoch_of(learner, examples))
    scores = learner.evaluate(examples, stream(0, "evaluation"))
    assert scores["accuracy"] == 1
    assert scores["loss"] < 0.2
