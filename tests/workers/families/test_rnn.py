from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workers.catalogue import Facts
from workers.data.loading import Examples
from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.families.rnn.cells import CELLS, State
from workers.families.rnn.flow import penalty
from workers.families.rnn.network import Recurrent, as_steps, build
from workers.families.rnn.recurrence import Recurrence
from workers.training.health import multiply_adds
from workers.training.settings import Settings
from workers.training.streams import stream

STEPS, BATCH, INPUTS, WIDTH = 11, 3, 2, 5


def recurrence_of(settings: Callable[..., Settings], **config: Any) -> Recurrence:
    layer = Recurrence(settings("rnn", width=WIDTH, **config), INPUTS).double()
    initialize(layer, "inverse_sqrt", stream(0, "initialization"))
    rng = torch.Generator().manual_seed(3)
    for parameter in layer.parameters():
        if parameter.ndim == 1:  # biases that are not 0
            nn.init.uniform_(parameter, -0.5, 0.5, generator=rng)
    attach_noise(layer, stream(0, "dropout"))
    return layer


@pytest.fixture
def x() -> Tensor:
    return torch.randn(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("vanilla", WIDTH * (INPUTS + WIDTH + 1)),
        ("leaky", WIDTH * (INPUTS + WIDTH + 1)),
        ("lstm", 4 * WIDTH * (INPUTS + WIDTH + 1)),
        ("gru", 3 * WIDTH * (INPUTS + WIDTH + 1) + WIDTH),  # the candidate has a second bias
    ],
)
def test_cells_have_the_textbooks_parameters(cell: str, expected: int, settings: Callable[..., Settings]) -> None:
    assert parameter_count(recurrence_of(settings, cell=cell)) == expected


def test_the_vanilla_cell_is_elmans(x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla")
    w, b, u = layer.parameters()
    h = torch.zeros(BATCH, WIDTH, dtype=torch.float64)
    for now, out in zip(x, layer(x), strict=True):
        h = torch.tanh(now @ w.T + b + h @ u.T)
        torch.testing.assert_close(out, h)


def test_a_leaky_unit_forgets_at_its_rate(settings: Callable[..., Settings]) -> None:
    """Without anything to read, what is left of the state after n steps is leak^n."""
    cell = CELLS["leaky"](settings("rnn", cell="leaky", leak=0.8, width=1), 1)
    state: State = (torch.ones(1, 1),)
    for _ in range(3):
        state = cell.step(torch.zeros(1, 1), torch.zeros(1, 1), state)
    torch.testing.assert_close(state[0], torch.full((1, 1), 0.8**3))


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_equations_are_what_torch_computes_at_once(
    cell: str, truncate: bool, x: Tensor, settings: Callable[..., Settings]
) -> None:
    layer = recurrence_of(settings, cell=cell, truncate=truncate, truncate_steps=4)
    fused, stepwise = layer(x), layer.stepwise(x)
    torch.testing.assert_close(fused, stepwise)
    weigh = torch.linspace(1, 2, WIDTH, dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad((fused[-1] * weigh).sum(), list(layer.parameters())),
        torch.autograd.grad((stepwise[-1] * weigh).sum(), list(layer.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_a_forget_gate_begins_open(settings: Callable[..., Settings]) -> None:
    layer = Recurrence(settings("rnn", cell="lstm", forget_bias=2.5, width=WIDTH), INPUTS)
    initialize(layer, "orthogonal", stream(0, "initialization"))
    assert layer.cell.inputs.bias.tolist() == [0] * WIDTH + [2.5] * WIDTH + [0] * 2 * WIDTH


@pytest.mark.parametrize("skip", [2, 4])
def test_gates_read_the_state_of_some_steps_ago(skip: int, x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla", time_skip=skip)
    w, b, u, v = (parameter.detach() for parameter in layer.parameters())
    states = [torch.zeros(BATCH, WIDTH, dtype=torch.float64)] * skip
    for now, out in zip(x, layer(x), strict=True):
        states.append(torch.tanh(now @ w.T + b + states[-1] @ u.T + states[-skip] @ v.T))
        torch.testing.assert_close(out, states[-1])


@pytest.mark.parametrize("cell", ["vanilla", "gru"])
@pytest.mark.parametrize("skip", [2, 4])
def test_without_short_connections_states_take_turns(
    cell: str, skip: int, x: Tensor, settings: Callable[..., Settings]
) -> None:
    layer = recurrence_of(settings, cell=cell, time_skip=skip, drop_short=True)
    short = recurrence_of(settings, cell=cell)  # of the same weights
    out = layer(x)
    assert out.shape == (STEPS, BATCH, WIDTH)
    for turn in range(skip):
        torch.testing.assert_close(out[turn::skip], short(x[turn::skip]))


def test_a_deep_transition_is_between_state_and_gates(x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla", transition_depth=1)
    w, b, u, t, c = layer.parameters()
    h = torch.zeros(BATCH, WIDTH, dtype=torch.float64)
    for now, out in zip(x, layer(x), strict=True):
        h = torch.tanh(now @ w.T + b + torch.tanh(h @ t.T + c) @ u.T)
        torch.testing.assert_close(out, h)


@pytest.mark.parametrize("config", [{"cell": "gru"}, {"cell": "leaky"}, {"cell": "vanilla", "time_skip": 2}])
@pytest.mark.parametrize("reach", [1, 3])
def test_truncated_gradients_reach_so_many_steps_back(
    config: dict[str, Any], reach: int, x: Tensor, settings: Callable[..., Settings]
) -> None:
    layer = recurrence_of(settings, truncate=True, truncate_steps=reach, **config)
    whole = recurrence_of(settings, **config)
    x.requires_grad_()
    out = layer(x)
    torch.testing.assert_close(out, whole(x))
    (gradient,) = torch.autograd.grad(out[-1].sum(), x)
    felt = gradient.abs().sum(dim=(1, 2)) > 0
    assert felt.tolist() == [False] * (STEPS - reach) + [True] * reach


def test_recurrent_dropout_hides_the_same_units_at_all_steps(x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla", recurrent_dropout=0.5).train()
    read = layer.reader(x)
    units = torch.eye(WIDTH, dtype=torch.float64)[:, None].expand(WIDTH, BATCH, WIDTH)
    hidden = read(units).abs().sum(dim=2) == 0  # [unit, example]
    assert 0 < int(hidden.sum()) < hidden.numel()
    assert torch.equal(read(units), read(units))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_both_directions_see_the_whole_sequence(settings: Callable[..., Settings]) -> None:
    network = Recurrent(settings("rnn", width=4, bidirectional=True, layers=2), (6, 2), 3)
    initialize(network, "orthogonal", stream(0, "initialization"))
    network.eval()
    x = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    layer = network.layers[0]
    states, last = layer(as_steps(x))
    torch.testing.assert_close(last[:, :4], states[-1][:, :4])
    torch.testing.assert_close(last[:, 4:], states[0][:, 4:])
    changed = x.clone()
    changed[:, -1] += 1
    assert not torch.equal(layer(as_steps(changed))[0][0][:, 4:], states[0][:, 4:])
    assert torch.equal(layer(as_steps(changed))[0][0][:, :4], states[0][:, :4])
    assert network(x).shape == (2, 3)


def test_the_steps_of_an_image_are_its_rows() -> None:
    image = torch.arange(2 * 3 * 4).reshape(1, 2, 3, 4)  # two channels, three rows
    assert as_steps(image)[1, 0].tolist() == [4, 5, 6, 7, 16, 17, 18, 19]


def test_the_flow_penalty_is_pascanus(x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla", flow_regularizer=1.0).train()
    weigh = torch.linspace(-1, 2, WIDTH, dtype=torch.float64)
    loss = (layer(x)[-1] * weigh).sum()
    assert layer.trace is not None
    found = penalty(layer.trace, loss)
    _, _, u = layer.parameters()
    h = [state.detach() for state in layer.trace.states]
    flow, expected = [weigh.expand(BATCH, WIDTH)], torch.zeros((), dtype=torch.float64)
    for after in reversed(h[1:]):
        flow.append((flow[-1] * (1 - after**2)) @ u)
    for back, ahead in itertools.pairwise(reversed(flow)):
        expected = expected + (back.norm(dim=1) / ahead.norm(dim=1) - 1).square().sum() / BATCH
    torch.testing.assert_close(found, expected)
    inputs, bias, within = torch.autograd.grad(found, list(layer.parameters()), allow_unused=True)
    assert inputs is None
    assert bias is None
    assert within.abs().sum() > 0


def test_an_orthogonal_linear_flow_costs_nothing(settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla", flow_regularizer=1.0).train()
    initialize(layer, "orthogonal", stream(0, "initialization"))
    loss = layer(torch.zeros(STEPS, BATCH, INPUTS, dtype=torch.float64))[-1].sum()
    assert layer.trace is not None
    assert float(penalty(layer.trace, loss).detach()) == pytest.approx(0, abs=1e-12)


def test_one_step_has_no_flow(x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = recurrence_of(settings, cell="vanilla", flow_regularizer=1.0, time_skip=8, drop_short=True).train()
    loss = layer(x[:7]).sum()
    assert layer.trace is not None
    assert penalty(layer.trace, loss) == 0


@pytest.mark.parametrize(("cell", "gates"), [("vanilla", 1), ("leaky", 1), ("lstm", 4), ("gru", 3)])
def test_all_cells_products_are_counted(cell: str, gates: int, settings: Callable[..., Settings]) -> None:
    learner = build(
        settings("rnn", cell=cell, width=8),
        Facts(task="classification", inputs="sequence", shape=(6, 3), outputs=2),
    )
    expected = 6 * gates * 8 * (3 + 8) + 8 * 2
    assert multiply_adds(learner, Examples(torch.zeros(1, 6, 3), torch.zeros(1))) == expected
