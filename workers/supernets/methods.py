"""The methods of one-shot search, each by its parts; their options stand in the table of algorithms. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MANY_SKIPS = 2  # in a cell; more of them is a sign of collapse (X. Chen et al., P-DARTS, 2019)

Relaxed = Literal["softmax", "edge_softmax", "gumbel", "dirichlet", "uniform", "binary", "controller"]
Mixed = Literal["sum", "partial", "entangled"]
Updated = Literal["bilevel", "pairs", "policy", "weights"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """`relaxation`: how what is learnt of the architecture becomes weights of the operations. `mixture`: how the
    operations of an edge answer. `update`: what the second half of the examples is for. `recipe`: what of the recipe
    differs from that of darts. An option of the same name is in place of the relaxation."""

    name: str
    relaxation: Relaxed
    mixture: Mixed = "sum"
    update: Updated = "bilevel"
    recipe: Mapping[str, Any] = field(default_factory=dict)


METHODS: Mapping[str, Method] = {
    row.name: row
    for row in (
        Method(name="darts", relaxation="softmax"),
        Method(name="gdas", relaxation="gumbel", recipe={"nesterov": True}),
        Method(name="pc-darts", relaxation="edge_softmax", mixture="partial", recipe={"final_lr": 0.0}),
        Method(name="sdarts", relaxation="softmax"),
        Method(name="robust-darts", relaxation="softmax"),
        Method(name="drop-path", relaxation="softmax"),
        Method(name="rsps", relaxation="uniform", update="weights"),
        Method(name="enas", relaxation="controller", update="policy", recipe={"final_lr": 1 / 100}),
        Method(name="proxyless", relaxation="binary", update="pairs"),
        Method(name="weight-entanglement", relaxation="softmax", mixture="entangled"),
    )
}
