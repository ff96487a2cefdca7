from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from workers.catalogue import Facts
from workers.data.loading import Data, Examples
from workers.families.blocks import initialize
from workers.families.gan.losses import discriminator_loss, generator_loss, slope_penalty
from workers.families.gan.network import GAN, build
from workers.families.gan.players import MinibatchFeatures, VirtualBatchNorm
from workers.protocol import Failure, FailureClass
from workers.training.learner import Epoch
from workers.training.settings import Settings
from workers.training.streams import stream

POINTS = Facts(task="generation", inputs="table", shape=(2,), outputs=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def points(n: int = 64) -> Examples:
    labels = torch.arange(n) % 2
    x = 4 * labels[:, None] - 2 + 0.1 * torch.randn(n, 2, generator=stream(0, "loss"))
    return Examples(x, labels)


def learner_of(settings: Settings, examples: Examples, facts: Facts = POINTS) -> GAN:
    learner = build(settings, facts)
    assert isinstance(learner, GAN)
    initialize(learner, "inverse_sqrt", stream(0, "initialization"))
    learner.prepare(Data(examples, examples))
    return learner


def epoch_of(learner: GAN, examples: Examples, number: int = 0, horizon: int = 1) -> Epoch:
    return Epoch(
        number,
        horizon,
        examples,
        learner.settings,
        learner.optimizers(),
        torch.device("cpu"),
        nullcontext,
        lambda purpose, device=None: stream(0, purpose, number, device),
    )


def test_the_losses_are_the_papers() -> None:
    real, fake = torch.tensor([1.0, -0.5]), torch.tensor([0.3, -2.0])
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    smoothed = 0.9 * d_real.log() + 0.1 * (1 - d_real).log()
    expected = -smoothed.mean() - (1 - d_fake).log().mean()
    torch.testing.assert_close(discriminator_loss("minimax", real, fake, 0.1), expected)
    torch.testing.assert_close(discriminator_loss("non_saturating", real, fake, 0.1), expected)
    torch.testing.assert_close(discriminator_loss("wgan_gp", real, fake, 0.1), fake.mean() - real.mean())
    torch.testing.assert_close(generator_loss("minimax", fake), (1 - d_fake).log().mean())
    torch.testing.assert_close(generator_loss("non_saturating", fake), -d_fake.log().mean())
    torch.testing.assert_close(generator_loss("wgan_clip", fake), -fake.mean())


def test_a_plane_is_punished_for_its_slope() -> None:
    slope = torch.tensor([3.0, 4.0])
    x = torch.randn(6, 2, generator=stream(0, "loss"))
    penalty = slope_penalty(lambda x: x @ slope, x, x + 1, stream(0, "loss"))
    assert float(penalty.detach()) == pytest.approx((5 - 1) ** 2)


def test_virtual_batch_norm_does_not_mix_the_examples() -> None:
    layer = VirtualBatchNorm(3)
    h = torch.randn(10, 3, 2, 2, generator=stream(0, "loss"))
    out = layer(h, 6)
    torch.testing.assert_close(layer(h[[*range(6), 8]], 6)[6], out[8])
    over = h[:6].transpose(0, 1).flatten(1)
    mean, deviation = over.mean(dim=1), over.var(dim=1, correction=0).add(1e-5).sqrt()
    torch.testing.assert_close(out[:6], (h[:6] - mean[:, None, None]) / deviation[:, None, None])
    seventh = torch.cat([h[:6], h[8:9]]).transpose(0, 1).flatten(1)  # as if it were one more of the reference batch
    expected = (h[8] - seventh.mean(dim=1)[:, None, None]) / seventh.var(dim=1, correction=0).add(1e-5).sqrt()[
        :, None, None
    ]
    torch.testing.assert_close(out[8], expected)


def test_samples_that_are_alike_give_themselves_away() -> None:
    layer = MinibatchFeatures(4)
    initialize(layer, "inverse_sqrt", stream(0, "initialization"))
    x = torch.randn(5, 4, generator=stream(0, "loss"))
    m = (x @ layer.project.weight.T).reshape(5, 16, 8)
    alike = torch.exp(-(m[:, None] - m[None]).abs().sum(dim=3))  # [n, n, kernels]
    torch.testing.assert_close(layer(x), alike.sum(dim=1) - 1)
    same = layer(x[:1].expand(5, -1))
    torch.testing.assert_close(same, torch.full_like(same, 4.0))


@pytest.mark.parametrize(("n_critic", "steps"), [(1, 8), (3, 3), (20, 1)])
def test_the_generator_takes_its_steps(n_critic: int, steps: int, settings: Callable[..., Settings]) -> None:
    examples = points()
    learner = learner_of(settings("gan", width=8, n_critic=n_critic, batch_size=8), examples)
    epoch = epoch_of(learner, examples)
    learner.train_epoch(epoch)
    taken = [float(next(iter(each.state_dict()["state"].values()))["step"]) for each in epoch.optimizers]
    assert taken == [8, steps]


def test_a_clipped_critic_stays_within_its_limit(settings: Callable[..., Settings]) -> None:
    examples = points()
    chosen = settings("gan", width=8, loss="wgan_clip", weight_limit=0.02, batch_size=32)
    learner = learner_of(chosen, examples)
    learner.train_epoch(epoch_of(learner, examples))
    assert max(float(p.detach().abs().max()) for p in learner.discriminator.parameters()) == pytest.approx(0.02)


def test_it_learns_two_modes_and_a_conditional_one_which_is_which(settings: Callable[..., Settings]) -> None:
    examples = points(256)
    chosen = settings("gan", width=32, latent=2, conditional=True, batch_size=64, lr_g=3e-3, lr_ratio=2)
    learner = learner_of(chosen, examples)
    learner.context = {"modes": torch.tensor([[-2.0, -2.0], [2.0, 2.0]]), "deviation": torch.tensor(0.1)}
    with torch.no_grad():
        before = learner.evaluate(examples, stream(0, "evaluation"))
    optimizers = learner.optimizers()
    for number in range(100):
        learner.train_epoch(replace(epoch_of(learner, examples, number, 100), optimizers=optimizers))
    with torch.no_grad():
        after = learner.evaluate(examples, stream(0, "evaluation"))
        ones = torch.tensor([[0.0, 1.0]]).expand(50, -1)
        asked, _ = learner.generated(50, ones, stream(0, "evaluation"))
    assert after["energy_distance"] < before["energy_distance"] / 5
    assert (asked.mean(dim=1) > 0).float().mean() > 0.9


def test_classes_are_drawn_as_often_as_there_are_examples(settings: Callable[..., Settings]) -> None:
    examples = points()
    uneven = Examples(examples.inputs, (torch.arange(64) % 4 == 0).long())
    learner = learner_of(settings("gan", width=8, conditional=True), uneven)
    _, classes = learner.generated(4000, None, stream(0, "loss"))
    assert float(classes[:, 1].mean()) == pytest.approx(0.25, abs=0.03)
    assert learner(examples.inputs).shape == (64, 2)


def test_samples_of_points_have_the_units_of_the_inputs(settings: Callable[..., Settings]) -> None:
    examples = Examples(points().inputs * 100 + 1000)
    learner = learner_of(settings("gan", width=8), examples)
    samples = learner.sample(50, stream(0, "loss"))
    assert float(samples.mean()) == pytest.approx(1000, abs=300)


def test_without_classes_there_is_nothing_to_be_told(settings: Callable[..., Settings]) -> None:
    with pytest.raises(Failure, match="examples with classes") as refused:
        build(settings("gan", conditional=True), replace(POINTS, outputs=0))
    assert refused.value.failure is FailureClass.INFEASIBLE


def test_a_loss_that_is_not_finite_ends_the_training(settings: Callable[..., Settings]) -> None:
    examples = points()
    learner = learner_of(settings("gan", width=8), examples)
    with torch.no_grad():
        learner.discriminator.out.weight.fill_(torch.inf)
    with pytest.raises(Failure, match=r"at step 1 of .* not finite are discriminator") as refused:
        learner.train_epoch(epoch_of(learner, examples))
    assert refused.value.failure is FailureClass.DIVERGED
