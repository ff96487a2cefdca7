from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from workers.catalogue import Facts
from workers.data.loading import Data, Examples
from workers.families.autoencoder.inputs import Range, corrupted
from workers.families.autoencoder.network import Autoencoder, build, squared_jacobian
from workers.families.blocks import initialize, parameter_count
from workers.protocol import Failure, FailureClass
from workers.training.learner import Epoch
from workers.training.preprocessing import Standardize
from workers.training.settings import Settings
from workers.training.streams import stream

IMAGES = Facts(task="reconstruction", inputs="image", shape=(1, 4, 4), outputs=2)
TABLE = Facts(task="reconstruction", inputs="table", shape=(6,), outputs=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def learner_of(settings: Settings, facts: Facts = IMAGES) -> Autoencoder:
    learner = build(settings, facts)
    initialize(learner, "he", stream(0, "initialization"))
    assert isinstance(learner, Autoencoder)
    return learner


def test_tied_weights_are_counted_once(settings: Callable[..., Settings]) -> None:
    shape = {"depth": 1, "width": 8, "code": 3}
    free = parameter_count(learner_of(settings("autoencoder", **shape)))
    tied = parameter_count(learner_of(settings("autoencoder", **shape, tied=True)))
    assert free == 2 * (16 * 8 + 8 * 3) + (8 + 3) + (8 + 16)
    assert free - tied == 16 * 8 + 8 * 3


def test_a_tied_decoder_multiplies_by_the_transposed_weights(settings: Callable[..., Settings]) -> None:
    learner = learner_of(settings("autoencoder", depth=1, width=8, code=3, tied=True, activation="tanh"))
    code = torch.randn(5, 3, generator=stream(0, "loss"))
    first, second = (p for name, p in learner.encoder.named_parameters() if name.endswith("weight"))
    torch.testing.assert_close(learner.decoder(code), torch.tanh(code @ second) @ first)


def test_a_linear_one_finds_the_principal_components(settings: Callable[..., Settings]) -> None:
    rng = stream(0, "loss")
    x = torch.randn(80, 6, generator=rng) @ torch.randn(6, 6, generator=rng) + 3
    data = Examples(x)
    learner = learner_of(settings("autoencoder", depth=0, code=2, weight_decay=0.0, batch_size=80), TABLE)
    learner.prepare(Data(data, data))
    z = learner.standardize(x)
    optimizer = torch.optim.LBFGS(learner.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def look() -> torch.Tensor:
        optimizer.zero_grad()
        loss = learner.loss(data, rng)
        torch.autograd.backward(loss)
        return loss

    optimizer.step(look)
    loss = learner.loss(data, rng)
    lost = torch.linalg.svdvals(z)[2:].square().sum() / z.numel()
    assert float(loss.detach()) == pytest.approx(float(lost), rel=0.01)


@pytest.mark.parametrize("depth", [0, 2])
def test_the_contractive_penalty_is_the_norm_of_the_jacobian(depth: int, settings: Callable[..., Settings]) -> None:
    learner = learner_of(settings("autoencoder", kind="contractive", depth=depth, width=8, code=3, activation="tanh"))
    x = torch.rand(4, 1, 4, 4, generator=stream(0, "loss")).requires_grad_()
    found = squared_jacobian(learner.encode(x), x)
    for i in range(4):
        one = torch.autograd.functional.jacobian(learner.encode, x[i : i + 1])
        assert float(found[i].detach()) == pytest.approx(float(one.square().sum()), rel=1e-5)


def test_the_sparse_penalties_follow_their_formulas(settings: Callable[..., Settings]) -> None:
    code, x = torch.tensor([[0.2, 0.5], [0.4, 0.7]]), torch.zeros(2, 1, 4, 4)
    l1 = learner_of(settings("autoencoder", kind="sparse_l1", penalty=0.1)).penalty(code, x)
    assert float(l1) == pytest.approx(0.1 * (0.7 + 1.1) / 2)
    kl = learner_of(settings("autoencoder", kind="sparse_kl", penalty=0.1, sparsity=0.1)).penalty(code, x)
    wanted, active = torch.distributions.Bernoulli(0.1), torch.distributions.Bernoulli(torch.tensor([0.3, 0.6]))
    assert float(kl) == pytest.approx(0.1 * float(torch.distributions.kl_divergence(wanted, active).sum()))


def test_only_the_largest_units_are_active(settings: Callable[..., Settings]) -> None:
    chosen = settings("autoencoder", kind="k_sparse", active_units=2, code=8, width=8)
    learner = learner_of(chosen)
    x = torch.rand(5, 1, 4, 4, generator=stream(0, "loss"))
    code, whole = learner.encode(x), learner.encoder(x.flatten(1))
    assert ((code != 0).sum(dim=1) == 2).all()
    torch.testing.assert_close(code.sum(dim=1), whole.topk(2, dim=1).values.sum(dim=1))


@pytest.mark.parametrize("kind", ["gauss", "mask", "salt_pepper"])
def test_corruption_is_of_the_wanted_size(kind: str, settings: Callable[..., Settings]) -> None:
    x = torch.full((500, 1, 4, 4), 0.5)
    standardize, within = Standardize((1, 4, 4)), Range("image", (1, 4, 4))
    standardize.deviation.fill_(0.5)
    chosen = settings("autoencoder", kind="denoising", corruption=kind, corruption_level=0.3)
    noisy = corrupted(x, chosen, standardize, within, stream(0, "loss"))
    if kind == "gauss":
        assert float((noisy - x).std()) == pytest.approx(0.15, rel=0.05)
        return
    lost = noisy != x
    assert float(lost.float().mean()) == pytest.approx(0.3, rel=0.05)
    assert float(noisy[lost].mean()) == pytest.approx(0.0 if kind == "mask" else 0.5, abs=0.05)


def test_missing_values_are_neither_read_nor_judged(settings: Callable[..., Settings]) -> None:
    x = torch.randn(20, 6, generator=stream(0, "loss"))
    x[::2, 3] = torch.nan
    data = Examples(x, torch.arange(20) % 2)
    for loss in ("mse", "bce"):
        learner = learner_of(settings("autoencoder", loss=loss, width=8, code=2), TABLE)
        learner.prepare(Data(data, data))
        value = learner.loss(data, stream(0, "loss"))
        torch.autograd.backward(value)
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learner.parameters())
        with torch.no_grad():
            scores, error = learner.evaluate(data, stream(0, "evaluation")), learner(x) - x
        assert scores["mse"] == pytest.approx(float(error[~x.isnan()].square().mean()), rel=1e-5)


def test_the_probe_reads_classes_from_the_code(settings: Callable[..., Settings]) -> None:
    labels = torch.arange(40) % 2
    x = labels[:, None].float() * 2 + 0.1 * torch.randn(40, 6, generator=stream(0, "loss"))

    def accuracy(targets: torch.Tensor | None) -> float:
        data = Examples(x, targets)
        learner = learner_of(settings("autoencoder", width=8, code=2, batch_size=20), TABLE)
        learner.prepare(Data(data, data))
        learner.train_epoch(epoch_of(learner, data))
        with torch.no_grad():
            return learner.evaluate(data, stream(0, "evaluation"))["probe_accuracy"]

    assert accuracy(labels) == 1
    assert accuracy(None) == 0
    assert accuracy(x) == 0


def epoch_of(learner: Autoencoder, examples: Examples) -> Epoch:
    return Epoch(
        0,
        1,
        examples,
        learner.settings,
        learner.optimizers(),
        torch.device("cpu"),
        nullcontext,
        lambda purpose, device=None: stream(0, purpose, 0, device),
    )


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"kind": "k_sparse", "code": 4, "active_units": 5}, "5 active units are more than the code's 4"),
        ({"kind": "contractive", "norm": "batch"}, "choose another norm"),
    ],
)
def test_what_cannot_be_built_is_refused(
    config: dict[str, Any], reason: str, settings: Callable[..., Settings]
) -> None:
    with pytest.raises(Failure, match=reason) as refused:
        build(settings("autoencoder", **config), IMAGES)
    assert refused.value.failure is FailureClass.INFEASIBLE
