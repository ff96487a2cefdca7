"""From settings to a language model: p(next character | the characters before it).

    embedding -> core -> (projection to the embedding's size, where tied) -> logits

The core is recurrent (`recurrent`) or a causal transformer (`transformer`), both trained by descent on stretches of the
text (`stretches`); or it counts n-grams (`ngram`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Examples
from workers.families.blocks import Dropout, Settings, infeasible
from workers.families.char_lm.ngram import NGram
from workers.families.char_lm.recurrent import Recurrent
from workers.families.char_lm.stretches import Streams, Windows, pieces
from workers.families.char_lm.transformer import Transformer
from workers.rows import Facts
from workers.training.descent import descend
from workers.training.learner import Epoch, Learner

SCORED, WARM = 1024, 256  # characters that a recurrent network is judged by at a time, after so many unjudged ones


def build(settings: Settings, facts: Facts) -> Learner:
    if settings["core"] == "ngram":
        return NGram(settings, facts)
    if settings["optimizer"] == "lbfgs":
        raise infeasible("lbfgs looks at all examples at once, and a text is read stretch by stretch: take another one")
    return LanguageModel(settings, facts)


def core_of(settings: Settings) -> tuple[Recurrent | Transformer, int]:
    """What reads the embeddings [batch, steps, embedding], with a state or without, and the embeddings' size.

    It answers [batch, steps, width], where step t knows what came up to t, and the state in which the next stretch
    begins.
    """
    layers, dropout = settings["layers"], settings["dropout"]
    if settings["core"] == "transformer":
        width = settings["width"]
        return Transformer(width, settings["heads"], layers, settings["context"], dropout), width
    return Recurrent(settings["core"], settings["embedding"], settings["hidden"], layers, dropout), settings[
        "embedding"
    ]


class LanguageModel(Learner):
    """`forward` answers log-probabilities [characters, outputs]: which character follows each, after all before it.

    Scores are those of all characters of a stretch but the first, each predicted from those before it.
    """

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.core, embedding = core_of(settings)
        # a transformer sees no more than its context: one half to know, the other to be judged by
        half: int = settings["context"] // 2
        warm, scored = (WARM, SCORED) if self.core.carries else (settings["context"] - half, half)
        self.warm, self.scored = warm, scored
        width = self.core.width
        tied = settings["tied"]
        self.table = None if tied else nn.Linear(embedding, facts.outputs, bias=False)
        self.dropout = Dropout(settings["dropout"])
        self.bridge = nn.Linear(width, embedding) if tied and width != embedding else nn.Identity()
        self.head = nn.Linear(embedding if tied else width, facts.outputs)
        self.state: Tensor | None = None  # between the stretches of an epoch; never beyond one

    def logits(self, characters: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """[batch, steps] -> [batch, steps, outputs]"""
        weight = (self.table or self.head).weight
        embedded = nn.functional.embedding(characters, weight) * math.sqrt(
            weight.shape[1]
        )  # about 1, as layers like it
        h, state = self.core(self.dropout(embedded), state)
        return self.head(self.bridge(self.dropout(h))), state

    def forward(self, inputs: Tensor) -> Tensor:
        """One stretch [characters] of any length, or several [batch, characters] that begin anew."""
        if inputs.ndim > 1:
            return self.logits(inputs, None)[0].log_softmax(dim=-1)
        stretches = pieces(len(inputs), self.warm, self.scored)
        answers = [self.logits(inputs[where], None)[0][judged] for where, judged in stretches]
        return torch.cat(answers).log_softmax(dim=-1)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        assert batch.targets is not None
        logits, state = self.logits(batch.inputs, self.state)
        if self.core.carries:
            self.state = None if state is None else state.detach()
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())

    def train_epoch(self, epoch: Epoch) -> float:
        self.state = None
        cut = Streams if self.core.carries else Windows
        try:
            return descend(self, cut.of(epoch, self.settings["context"]))
        finally:
            self.state = None

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        text = examples.inputs.to(self.head.weight.device)
        nats = torch.zeros((), dtype=torch.float64, device=text.device)
        for where, judged in pieces(len(text) - 1, self.warm, self.scored):
            logits = self.logits(text[where], None)[0][judged]
            nats += nn.functional.cross_entropy(logits.float(), text[where + 1][judged], reduction="sum").double()
        return {"bpc": float(nats) / (len(text) - 1) / math.log(2)}
