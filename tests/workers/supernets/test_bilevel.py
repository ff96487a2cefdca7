from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spaces.architectures import ARCHITECTURES, OneShot
from workers.catalogue import FAMILIES
from workers.data.loading import Examples
from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.rows import Facts
from workers.supernets.bilevel import Step, first_order, second_order
from workers.supernets.relaxation import Softmax
from workers.supernets.supernet import Supernet
from workers.training.schedules import lr_factor
from workers.training.settings import resolve
from workers.training.streams import stream

FACTS = Facts(task="classification", inputs="image", shape=(1, 8, 8), outputs=3)


def scalar(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64, requires_grad=True)


def a_step(weight: Tensor, lr: float, momentum: float = 0.0, memory: float = 0.0, decay: float = 0.0) -> Step:
    return Step([weight], lr, momentum, [torch.full_like(weight, memory)], [decay])


def a_problem(w: Tensor, alpha: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    return lambda: (0.5 * (w - alpha) ** 2).sum(), lambda: (0.5 * (w - 2) ** 2).sum()


def test_one_weight_and_one_alpha() -> None:
    w, alpha = scalar(0.0), scalar(1.0)
    train, validation = a_problem(w, alpha)
    (found,) = second_order(train, validation, [alpha], a_step(w, 0.1))
    assert float(found) == pytest.approx(-0.19, abs=1e-6)
    assert float(first_order(validation, [alpha])[0]) == 0
    assert w.tolist() == [0]


def test_the_step_ahead_has_momentum_and_decay() -> None:
    w, alpha = scalar(0.5), scalar(1.0)
    train, validation = a_problem(w, alpha)
    step = a_step(w, 0.1, momentum=0.9, memory=0.2, decay=3e-4)
    (found,) = second_order(train, validation, [alpha], step)
    assert float(found) == pytest.approx(-0.1468015, abs=1e-6)
    assert w.tolist() == [0.5]
    step.take([torch.autograd.grad(train(), w)[0]])
    assert w.tolist() == pytest.approx([0.531985], abs=1e-6)


def test_two_weights_and_two_alphas() -> None:
    a = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64)
    target = torch.tensor([1.0, -1.0], dtype=torch.float64)
    alpha = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([0.1, 0.4], dtype=torch.float64, requires_grad=True)

    def train() -> Tensor:
        return 0.5 * w @ a @ w - w @ b @ alpha

    step = a_step(w, 0.05)
    (found,) = second_order(train, lambda: 0.5 * (w - target).square().sum(), [alpha], step)
    assert found.tolist() == pytest.approx([-0.011125, 0.1365], abs=1e-6)
    step.take([torch.autograd.grad(train(), w)[0]])
    assert w.tolist() == pytest.approx([0.095, 0.365], abs=1e-9)


def small(preset: str, activation: str = "relu") -> tuple[Supernet, Softmax, Callable[[int], Examples]]:
    architecture = (
        ARCHITECTURES["darts"]("cell", nodes=1, ops=("avg_pool_3x3", "skip_connect", "sep_conv_3x3"))  # type: ignore[call-arg]
        if preset == "darts"
        else ARCHITECTURES[preset]("cell", nodes=3, ops=("none", "skip_connect", "nor_conv_3x3"))  # type: ignore[call-arg]
    )
    assert isinstance(architecture, OneShot)
    settings = resolve(
        FAMILIES["cell"].hyperparameters("image"), {"channels": 4, "layers": 3, "activation": activation}
    )
    model = Supernet(architecture, "sum", settings, FACTS)
    initialize(model, "xavier_uniform", stream(1, "initialization"))
    attach_noise(model, stream(1, "dropout"))
    rng = torch.Generator().manual_seed(0)

    def batch(size: int) -> Examples:
        images = torch.rand(size, 1, 8, 8, generator=rng, dtype=torch.float64)
        return Examples(images, torch.randint(3, (size,), generator=rng))

    return model.double(), Softmax(architecture, stream(1, "alphas")).double(), batch


@pytest.mark.parametrize("preset", ["darts", "nas-bench-201"])
def test_the_gradient_is_that_of_the_loss_after_a_step(preset: str) -> None:
    """Against central differences of α -> L_validation(w'(α), α), in float64, on a smooth supernet."""
    model, relaxation, batch = small(preset, "tanh")
    for alpha in relaxation.parameters():
        torch.nn.init.normal_(alpha, generator=torch.Generator().manual_seed(2))
    first, second = batch(12), batch(12)
    rng = torch.Generator()
    weights, alphas = list(model.parameters()), list(relaxation.parameters())

    def train() -> Tensor:
        return model.loss(first, relaxation.mixes(rng))

    def validation() -> Tensor:
        return model.loss(second, relaxation.mixes(rng))

    memory = [0.01 * torch.randn(w.shape, generator=torch.Generator().manual_seed(5), dtype=w.dtype) for w in weights]
    step = Step(weights, 0.05, 0.9, memory, [3e-4] * len(weights))
    kept = [w.detach().clone() for w in weights]
    found = second_order(train, validation, alphas, step, reach=1e-3)
    usual = second_order(train, validation, alphas, step)  # the paper's reach, for float32
    assert all(torch.equal(w, before) for w, before in zip(weights, kept, strict=True)), "restored, bit for bit"

    def ahead() -> float:
        step.take(torch.autograd.grad(train(), weights))
        value = float(validation().detach())
        with torch.no_grad():
            for w, before in zip(weights, kept, strict=True):
                w.copy_(before)
        return value

    def moved(alpha: Tensor, index: int, by: float) -> float:
        alpha.data.view(-1)[index] += by
        value = ahead()
        alpha.data.view(-1)[index] -= by
        return value

    reach = 1e-5
    numeric = [
        torch.tensor([(moved(a, i, reach) - moved(a, i, -reach)) / (2 * reach) for i in range(a.numel())]).view_as(a)
        for a in alphas
    ]

    def error(gradients: list[Tensor]) -> float:
        apart = torch.cat([(f - n).flatten() for f, n in zip(gradients, numeric, strict=True)]).norm()
        return float(apart / torch.cat([n.flatten() for n in numeric]).norm())

    assert error(found) < 1e-4
    assert error(usual) < 1e-3
    plain = first_order(validation, alphas)
    assert not all(torch.allclose(p, f, rtol=1e-3) for p, f in zip(plain, found, strict=True)), "a term of its own"


def test_the_passes_of_the_architecture_leave_no_trace_in_norms() -> None:
    model, relaxation, batch = small("darts")
    assert not [name for name, _ in model.named_buffers() if "running" in name]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = batch(6), batch(6)
    rng = torch.Generator()
    weights = list(model.parameters())
    second_order(
        lambda: model.loss(first, relaxation.mixes(rng)),
        lambda: model.loss(second, relaxation.mixes(rng)),
        list(relaxation.parameters()),
        Step(weights, 0.1, 0.9, [torch.zeros_like(w) for w in weights], [0.0] * len(weights)),
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_supernet_of_darts_has_the_parameters_of_the_paper() -> None:
    architecture = ARCHITECTURES["darts"]("cell")
    assert isinstance(architecture, OneShot)
    settings = resolve(FAMILIES["cell"].hyperparameters("image"), {"channels": 16, "layers": 8})
    facts = Facts(task="classification", inputs="image", shape=(3, 32, 32), outputs=10)
    assert parameter_count(Supernet(architecture, "sum", settings, facts)) == 1_930_618
    relaxation = Softmax(architecture, stream(0, "alphas"))
    assert sum(alpha.numel() for alpha in relaxation.parameters()) == 224
    for mean in relaxation.means().values():
        torch.testing.assert_close(mean.detach(), torch.full((14, 8), 1 / 8), atol=1e-3, rtol=0)


def test_the_learning_rate_is_that_of_the_paper() -> None:
    settings = {"warmup": 0.0, "schedule": "cosine", "final_lr": 1 / 25}
    rates = [0.025 * lr_factor(settings, epoch / 50) for epoch in (0, 10, 25, 49, 50)]
    assert rates == pytest.approx([0.025, 0.022708, 0.013, 0.001024, 0.001], abs=1e-6)
