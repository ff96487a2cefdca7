"""Snapshots of one network along its training, which answer together (G. Huang et al., Snapshot ensembles: train 1, get
M for free, 2017). They are taken where the learning rate of schedule sgdr restarts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workers.training.schedules import cycles_done
from workers.training.settings import Settings


class Committee(nn.Module):
    """All snapshots are buffers [members, ...] of this module, so that they are in the learner's state. `only` is the
    index of the one that answers alone, where not all are asked."""

    taken: Tensor
    only: int | None = None

    def __init__(self, network: nn.Module, members: int, probabilities: bool) -> None:
        super().__init__()
        self.networks = (network,)  # not a child: the learner has it already
        self.probabilities = probabilities
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

    def forward(self, x: Tensor) -> Tensor:
        """The mean of the members' class probabilities, as logits, or of their answers; before the first snapshot, the
        answer of the network."""
        network, taken = self.networks[0], int(self.taken)
        if taken == 0:
            out: Tensor = network(x)
            return out
        if self.only is not None:
            alone: Tensor = functional_call(network, self._member(self.only), (x,))
            return alone
        answers = torch.stack([functional_call(network, self._member(i), (x,)) for i in range(taken)])
        if not self.probabilities:
            return answers.mean(dim=0)
        return nn.functional.log_softmax(answers, dim=2).logsumexp(dim=0) - math.log(taken)

    def _member(self, index: int) -> dict[str, Tensor]:
        return {name: self.get_buffer(place)[index] for name, place in self.places.items()}
