"""Attention: each token becomes a mean of all tokens' values, weighed by how well its query and their keys agree.

    a[i, j] = softmax over j of e(q[i], k[j])        y[i] = sum over j of a[i, j] v[j]

dot       e = q·k
scaled    e = q·k / √size                    A. Vaswani et al., Attention is all you need, 2017
general   e = q·(W k)                        M. Luong, H. Pham and C. Manning 2015
additive  e = v·tanh(q + k)                  D. Bahdanau, K. Cho and Y. Bengio 2015; their two matrices are those that
                                             make q and k
Several heads do so side by side, each with its share of the width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.families.blocks import Dropout, Settings, infeasible

SLICE = 2**25  # numbers that the comparison of queries and keys may take at a time, where no gradient needs them


class Attention(nn.Module):
    """[batch, tokens, width] -> [batch, tokens, width]"""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, self.heads = settings["width"], settings["heads"]
        if width % self.heads:
            raise infeasible(f"heads must divide width: {self.heads} heads cannot share {width} numbers per token")
        self.similarity: str = settings["similarity"]
        size = width // self.heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        # per head: W of the general similarity, v of the additive one
        outputs = {"general": size, "additive": 1}.get(self.similarity, 0)
        self.compare = nn.ModuleList(nn.Linear(size, outputs, bias=False) for _ in range(self.heads if outputs else 0))
        self.dropout = Dropout(settings["attention_dropout"])

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self.attend(x)
        part = SLICE // (x.shape[1] ** 2 * (x.shape[2] if self.similarity == "additive" else self.heads))
        return torch.cat([self.attend(each) for each in x.tensor_split(math.ceil(len(x) / max(1, part)))])

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        weights = self.dropout(torch.softmax(self.similarities(q, k), dim=-1))
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        out: Tensor = self.out(mixed)
        return out

    def split(self, x: Tensor) -> Tensor:
        """[batch, tokens, width] -> [batch, heads, tokens, size]"""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def similarities(self, q: Tensor, k: Tensor) -> Tensor:
        """[batch, heads, tokens, size] twice -> [batch, heads, queries, keys]"""
        match self.similarity:
            case "scaled":
                return q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
            case "general":
                return q @ (self.compared() @ k.transpose(2, 3))
            case "additive":
                sums = torch.tanh(q[:, :, :, None] + k[:, :, None])  # [batch, heads, queries, keys, size]
                return (sums @ self.compared()[:, None].transpose(2, 3))[..., 0]
            case _:
                return q @ k.transpose(2, 3)

    def compared(self) -> Tensor:
        """[heads, size or 1, size]: the matrices of the similarity."""
        return torch.stack([layer.weight for layer in self.compare if isinstance(layer, nn.Linear)])
