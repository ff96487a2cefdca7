"""Several networks out of one training, which answer together.

snapshot     the network as it was where the learning rate of schedule sgdr restarted  (G. Huang et al., Snapshot
             ensembles: train 1, get M for free, 2017)
mc_dropout   the network with dropped units, as in training, drawn again and again  (Y. Gal and Z. Ghahramani, Dropout
             as a Bayesian approximation, 2016)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workers.families.noise import Dropout, attach_noise
from workers.training.schedules import cycles_done
from workers.training.settings import Settings


class Committee(nn.Module, ABC):
    """Answers with the mean of the members' class probabilities, as logits, or of their answers."""

    def __init__(self, network: nn.Module, probabilities: bool) -> None:
        super().__init__()
        self.networks = (network,)  # not a child: the learner has it already
        self.probabilities = probabilities

    @torch.no_grad()
    def catch_up(self, settings: Settings, progress: float) -> None:
        """Takes from the training, at this progress, what is to be kept of it."""

    @abstractmethod
    def answers(self, x: Tensor) -> Iterator[Tensor]:
        """Of each member."""

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.stack(list(self.answers(x)))
        if not self.probabilities:
            return answers.mean(dim=0)
        # the classes of [n, classes] and of [n, classes, h, w] are in the same place
        return nn.functional.log_softmax(answers, dim=2).logsumexp(dim=0) - math.log(len(answers))


class Snapshots(Committee):
    """All snapshots are buffers [members, ...] of this module, so that they are in the learner's state. Before the
    first one, the network answers. `only` is the index of the one that answers alone, where not all are asked."""

    taken: Tensor
    only: int | None = None

    def __init__(self, network: nn.Module, members: int, probabilities: bool) -> None:
        super().__init__(network, probabilities)
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self.places = {name: name.replace(".", "-") for name in network.state_dict()}
        for name, tensor in network.state_dict().items():
            self.register_buffer(self.places[name], torch.zeros((members, *tensor.shape), dtype=tensor.dtype))

    @torch.no_grad()
    def catch_up(self, settings: Settings, progress: float) -> None:
        """Takes a snapshot if a cycle has ended since the last one."""
        taken = int(self.taken)
        if cycles_done(settings, progress) > taken:
            for name, tensor in self.networks[0].state_dict().items():
                self.get_buffer(self.places[name])[taken].copy_(tensor)
            self.taken += 1

    def answers(self, x: Tensor) -> Iterator[Tensor]:
        return (functional_call(self.networks[0], self._member(i), (x,)) for i in range(int(self.taken)))

    def forward(self, x: Tensor) -> Tensor:
        if int(self.taken) == 0:
            out: Tensor = self.networks[0](x)
            return out
        if self.only is not None:
            alone: Tensor = functional_call(self.networks[0], self._member(self.only), (x,))
            return alone
        return super().forward(x)

    def _member(self, index: int) -> dict[str, Tensor]:
        return {name: self.get_buffer(place)[index] for name, place in self.places.items()}


class Thinned(Committee):
    """What is drawn for an answer is the same for the same inputs."""

    def __init__(self, network: nn.Module, settings: Settings, probabilities: bool) -> None:
        super().__init__(network, probabilities)
        self.members, self.kind = settings["mc_samples"], settings["dropout_kind"]
        self.units = [module for module in network.modules() if isinstance(module, Dropout)]

    def answers(self, x: Tensor) -> Iterator[Tensor]:
        network = self.networks[0]
        attach_noise(network, torch.Generator(x.device).manual_seed(0), self.kind)
        for unit in self.units:
            unit.train()
        try:
            for _ in range(self.members):
                yield network(x)
        finally:
            for unit in self.units:
                unit.eval()


def committee_of(network: nn.Module, settings: Settings, probabilities: bool) -> Committee | None:
    """The committee that the settings ask for."""
    match settings["averaging"]:
        case "snapshot":
            return Snapshots(network, settings["cycles"], probabilities)
        case "mc_dropout":
            return Thinned(network, settings, probabilities)
        case _:
            return None
