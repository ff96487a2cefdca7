from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.catalogue import FAMILIES, Facts
from workers.data.loading import Data, Examples
from workers.families.blocks import initialize, parameter_count
from workers.families.made_nade.masks import masks_of, places
from workers.families.made_nade.network import Autoregressive, build
from workers.protocol import Failure, FailureClass
from workers.training.health import multiply_adds
from workers.training.learner import Learner
from workers.training.settings import Settings, resolve
from workers.training.streams import stream


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def learner_of(chosen: Settings, shape: tuple[int, ...], seed: int = 0) -> Learner:
    learner = build(chosen, Facts(task="density", inputs="image", shape=shape, outputs=0))
    initialize(learner, "he", stream(seed, "initialization"))
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=stream(seed, "loss")))
    return learner.eval()


CONFIGS = st.one_of(
    st.fixed_dictionaries(
        {
            "model": st.just("made"),
            "hidden": st.integers(1, 12),
            "layers": st.integers(1, 3),
            "masks": st.integers(1, 3),
            "order": st.sampled_from(["raster", "random"]),
            "direct": st.booleans(),
            "activation": st.sampled_from(["relu", "tanh"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "model": st.just("nade"),
            "hidden": st.integers(1, 12),
            "order": st.sampled_from(["raster", "random"]),
            "activation": st.sampled_from(["relu", "sigmoid"]),
        }
    ),
)


@given(config=CONFIGS, shape=st.sampled_from([(1, 2, 2), (1, 1, 5), (1, 2, 3), (1, 1, 1)]), seed=st.integers(0, 99))
def test_probabilities_of_all_inputs_sum_to_one(config: dict[str, object], shape: tuple[int, ...], seed: int) -> None:
    learner = learner_of(resolve(FAMILIES["made_nade"].hyperparameters("image"), config), shape, seed)
    inputs = shape[1] * shape[2]
    everything = torch.tensor(list(itertools.product([0.0, 1.0], repeat=inputs))).reshape(-1, *shape)
    with torch.no_grad():
        log_prob = learner.double()(everything.double())
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert float(log_prob.exp().max()) > 1.001 / 2**inputs, "and they differ"


@pytest.mark.parametrize("model", ["made", "nade"])
@pytest.mark.parametrize("order", ["raster", "random"])
def test_an_output_depends_on_the_inputs_before_it_alone(
    model: str, order: str, settings: Callable[..., Settings]
) -> None:
    learner = learner_of(settings("made_nade", model=model, order=order, hidden=40, activation="tanh"), (1, 2, 4))
    assert isinstance(learner, Autoregressive)
    x = torch.rand(1, 8, generator=stream(0, "loss"))
    derivative = torch.autograd.functional.jacobian(lambda x: learner.network(x, 0), x)[0, :, 0]  # [output, input]
    place = places(8, order, 0)
    before = place[None, :] < place[:, None]
    assert torch.equal(derivative != 0, before)


def test_nade_is_its_formula(settings: Callable[..., Settings]) -> None:
    learner = learner_of(settings("made_nade", model="nade", hidden=5, activation="sigmoid", dropout=0), (1, 2, 2))
    assert isinstance(learner, Autoregressive)
    w, b, v, c = learner.network.parameters()
    x = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    total = 0.0
    for d in range(4):
        h = torch.sigmoid(b + w[:, :d] @ x[0, :d])
        total += float(torch.distributions.Bernoulli(logits=c[d] + v[d] @ h).log_prob(x[0, d]).detach())
    assert float(learner(x.reshape(1, 1, 2, 2)).detach()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("config", "shape", "feasible"),
    [
        ({"hidden": 1024, "batch_size": 128}, (1, 28, 28), True),
        ({"hidden": 1024, "batch_size": 256}, (1, 28, 28), False),
        ({"hidden": 1024, "batch_size": 64, "batch_growth": 2}, (1, 28, 28), False),
        ({"hidden": 200}, (3, 256, 256), False),
        ({"hidden": 8192, "batch_size": 1}, (1, 28, 28), False),  # a batch that is evaluated has 256 examples
        ({"hidden": 200, "optimizer": "lbfgs"}, (3, 256, 256), True),  # of how many examples, the data says
    ],
)
def test_what_nade_has_no_memory_for_is_infeasible(
    config: dict[str, Any], shape: tuple[int, ...], feasible: bool, settings: Callable[..., Settings]
) -> None:
    facts = Facts(task="density", inputs="image", shape=shape, outputs=0)
    if feasible:
        build(settings("made_nade", model="nade", **config), facts)
        return
    with pytest.raises(Failure, match=r"hidden layers of .* GiB, more than 4: lower hidden") as refused:
        build(settings("made_nade", model="nade", **config), facts)
    assert refused.value.failure is FailureClass.INFEASIBLE


def test_lbfgs_looks_at_all_examples_at_once(settings: Callable[..., Settings]) -> None:
    facts = Facts(task="density", inputs="image", shape=(1, 28, 28), outputs=0)
    learner = build(settings("made_nade", model="nade", optimizer="lbfgs"), facts)
    few, many = (Examples(torch.zeros(1, 1, 28, 28).expand(n, -1, -1, -1)) for n in (100, 2000))
    learner.prepare(Data(few, few))
    with pytest.raises(Failure, match="for 2000 examples at once"):
        learner.prepare(Data(many, few))


def test_what_nade_multiplies_is_counted(settings: Callable[..., Settings]) -> None:
    """V h; what the inputs add to the hidden layers is only added, for they are 0 or 1."""
    learner = learner_of(settings("made_nade", model="nade", hidden=5), (1, 2, 2))
    assert multiply_adds(learner, Examples(torch.rand(3, 1, 2, 2, generator=stream(0, "loss")))) == 4 * 5


def test_several_masks_are_a_mixture(settings: Callable[..., Settings]) -> None:
    learner = learner_of(settings("made_nade", masks=3, order="random", hidden=9), (1, 2, 2))
    assert isinstance(learner, Autoregressive)
    x = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    with torch.no_grad():
        logits = [learner.network(x, k) for k in range(3)]
    each = [torch.distributions.Bernoulli(logits=out).log_prob(x).sum().exp() for out in logits]
    expected = float(sum(each) / 3)
    assert float(learner(x.reshape(1, 1, 2, 2)).exp().detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("number", [0, 1, 7])
def test_every_hidden_unit_reads_and_is_read(number: int) -> None:
    masks = masks_of(inputs=6, units=20, layers=2, order="random", number=number)
    assert all((mask.sum(dim=1) > 0).all() for mask in masks.hidden)
    assert (masks.output.sum(dim=0) > 0).all()
    assert float(masks.direct.sum()) == 6 * 5 / 2


def test_weights_that_no_mask_reads_are_not_counted(settings: Callable[..., Settings]) -> None:
    """With as many units as there are degrees, unit k reads the first k inputs, and the outputs after them read it."""
    learner = learner_of(settings("made_nade", hidden=3, direct=True), (1, 2, 2))
    assert parameter_count(learner) == (1 + 2 + 3) + 3 + (3 + 2 + 1) + 4 + 6


def test_pixels_are_binarized_at_half(settings: Callable[..., Settings]) -> None:
    learner = learner_of(settings("made_nade", hidden=8), (1, 2, 2))
    grey = torch.tensor([0.5, 0.51, 0.0, 1.0]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(learner(grey), learner(torch.tensor([0.0, 1.0, 0.0, 1.0]).reshape(1, 1, 2, 2)))
