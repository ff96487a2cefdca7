"""The generative adversarial network: a generator makes samples, a discriminator tells them from examples.

Each learns from the other with an Adam of its own. An epoch is one pass of the discriminator over the examples, batch
by batch; after every `n_critic` batches, and after the last one, the generator takes a step. Points are standardized,
pixels are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, infeasible
from workers.families.gan.losses import discriminator_loss, generator_loss, slope_penalty
from workers.families.gan.players import REFERENCES, Discriminator, generator_of
from workers.protocol import Failure, FailureClass
from workers.rows import Facts
from workers.training.descent import LOOK_EVERY
from workers.training.generation import generation_scores
from workers.training.health import Pulse, first_unsound
from workers.training.learner import Epoch, Learner
from workers.training.optimizers import set_lr
from workers.training.preprocessing import Standardize
from workers.training.schedules import lr_factor

BETA2 = {"wgan_clip": 0.9, "wgan_gp": 0.9}  # as Gulrajani et al. have it; 0.999 elsewhere


def build(settings: Settings, facts: Facts) -> Learner:
    if settings["conditional"] and facts.outputs < 2:
        raise infeasible(
            "a conditional gan needs examples with classes, which this dataset does not have: conditional false"
        )
    return GAN(settings, facts)


class GAN(Learner):
    """`forward` answers the discriminator's logits [n], or [n, classes] of the input as one of each class."""

    reference: Tensor
    reference_labels: Tensor
    label_share: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.labels = facts.outputs if settings["conditional"] else 0
        self.standardize = nn.Identity() if facts.inputs == "image" else Standardize(facts.shape)
        self.generator = generator_of(settings, facts.shape, self.labels)
        sees_batch = settings["d_sees_batch"] and settings["loss"] != "wgan_gp"  # whose penalty is of examples alone
        self.discriminator = Discriminator(settings, facts.shape, self.labels, sees_batch)
        self.register_buffer("reference", torch.zeros(REFERENCES, *facts.shape))
        self.register_buffer("reference_labels", torch.zeros(REFERENCES, self.labels))
        self.register_buffer("label_share", torch.zeros(self.labels))
        self.context: Mapping[str, Tensor] = {}

    def prepare(self, data: Data) -> None:
        train = data.train
        if isinstance(self.standardize, Standardize):
            self.standardize.fit(train.inputs)
        some = train[(torch.arange(REFERENCES) * len(train)) // REFERENCES]
        self.reference.copy_(self.standardize(some.inputs.to(self.reference.device)))
        self.reference_labels.copy_(self.classes_of(some))
        self.label_share.copy_(self.classes_of(train).mean(dim=0))
        self.context = data.context

    def optimizers(self) -> list[torch.optim.Optimizer]:
        betas = (self.settings["beta1"], BETA2.get(self.settings["loss"], 0.999))
        players = (self.discriminator, self.generator)
        return [torch.optim.Adam(player.parameters(), betas=betas, fused=True) for player in players]

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.standardize(inputs)
        if not self.labels:
            return self.judged(x, x.new_zeros(len(x), 0))
        each = torch.eye(self.labels, dtype=x.dtype, device=x.device)
        return torch.stack([self.judged(x, one.expand(len(x), -1)) for one in each], dim=1)

    def judged(self, x: Tensor, classes: Tensor) -> Tensor:
        """The discriminator's logits [n] of x [n, *shape], standardized, with its classes [n, labels]."""
        virtual = self.settings["d_norm"] == "virtual_batch"
        logits: Tensor = self.discriminator(x, classes, (self.reference, self.reference_labels) if virtual else None)
        return logits

    def generated(self, n: int, classes: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Samples [n, *shape], standardized, and their classes [n, labels]: those given, or drawn as the training
        examples have them."""
        if classes is None:
            classes = self.label_share.new_zeros(n, 0)
            if self.labels:
                drawn = torch.multinomial(self.label_share.cpu(), n, replacement=True, generator=rng)
                classes = nn.functional.one_hot(drawn, self.labels).to(self.label_share)
        z = torch.randn(n, self.settings["latent"], generator=rng, dtype=classes.dtype).to(classes.device)
        return self.generator(torch.cat([z, classes], dim=1)), classes

    def classes_of(self, examples: Examples) -> Tensor:
        """[n, labels], one-hot"""
        if not self.labels:
            return self.label_share.new_zeros(len(examples), 0)
        assert examples.targets is not None
        targets = examples.targets.to(self.label_share.device)
        return nn.functional.one_hot(targets, self.labels).to(self.label_share.dtype)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        """The discriminator's."""
        kind = self.settings["loss"]
        real, classes = self.standardize(batch.inputs), self.classes_of(batch)
        with torch.no_grad():
            fake, _ = self.generated(len(real), classes, rng)
        loss = discriminator_loss(kind, self.judged(real, classes), self.judged(fake, classes), self.smoothing)
        if kind == "wgan_gp":
            penalty = slope_penalty(lambda x: self.judged(x, classes), real, fake, rng)
            loss = loss + self.settings["gradient_penalty"] * penalty
        return loss

    def loss_of_generator(self, n: int, rng: torch.Generator) -> Tensor:
        fake, classes = self.generated(n, None, rng)
        return generator_loss(self.settings["loss"], self.judged(fake, classes))

    @property
    def smoothing(self) -> float:
        return float(self.settings["smoothing"])

    def train_epoch(self, epoch: Epoch) -> float:
        """The mean loss of the discriminator. Raises Failure DIVERGED at the first loss that is not finite (on a GPU:
        within LOOK_EVERY steps)."""
        draws, total, lr = epoch.stream("loss"), torch.zeros((), dtype=torch.float64, device=epoch.device), 0.0
        critic, maker = epoch.optimizers
        self.train()
        for step, (done, batch) in enumerate(epoch.batches()):
            lr = self.settings["lr_g"] * lr_factor(self.settings, epoch.progress(done)) * epoch.lr_scale
            set_lr(critic, lr * self.settings["lr_ratio"])
            set_lr(maker, lr)
            with epoch.autocast():
                loss = self.loss(batch, draws)
            _descend(critic, loss)
            if self.settings["loss"] == "wgan_clip":
                self.limit_weights()
            total += loss.detach() * len(batch)
            last, where = step == epoch.steps - 1, f"at step {step + 1} of {epoch.steps} in epoch {epoch.number + 1}"
            if last or epoch.device.type == "cpu" or step % LOOK_EVERY == LOOK_EVERY - 1:
                self._require_finite(total, batch, where)
            if last or step % self.settings["n_critic"] == self.settings["n_critic"] - 1:
                with epoch.autocast():
                    fooled = self.loss_of_generator(len(batch), draws)
                watched = step >= epoch.steps // 2 and "grad_norm" not in epoch.notes
                epoch.notes.update(_descend(maker, fooled, self.generator if watched else None))
                total += 0 * fooled.detach()  # not finite from here on, if that is not
                if last:
                    self._require_finite(total, batch, where)
        epoch.notes["lr"] = lr
        return float(total) / len(epoch.examples)

    @torch.no_grad()
    def limit_weights(self) -> None:
        for parameter in self.discriminator.parameters():
            parameter.clamp_(-self.settings["weight_limit"], self.settings["weight_limit"])

    def _require_finite(self, total: Tensor, batch: Examples, where: str) -> None:
        if not torch.isfinite(total):
            raise Failure(
                FailureClass.DIVERGED,
                f"a player's loss is not finite {where} (lr_g {self.settings['lr_g']:.3g}); "
                f"{first_unsound(self, batch)}",
            )

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        samples = self.sample(len(examples), rng)
        return generation_scores(samples, examples.inputs.to(samples.device), self.context)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """[n, *shape] in units of the inputs; classes, where it knows them, as the training examples have them. `rng`
        is on the CPU."""
        self.eval()
        x, _ = self.generated(n, None, rng)
        if isinstance(self.standardize, Standardize):
            return x * self.standardize.deviation + self.standardize.mean
        return x


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, watched: nn.Module | None = None) -> Mapping[str, float]:
    """One step. Answers how it felt to the module that is watched, if any."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    pulse = Pulse.before(watched) if watched is not None else None
    optimizer.step()
    return pulse.after(watched) if pulse and watched is not None else {}
