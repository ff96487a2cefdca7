"""From a method's options to what a search learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spaces.architectures import OneShot
from workers.supernets.controller import Controller
from workers.supernets.methods import Method
from workers.supernets.relaxation import Binary, Dirichlet, EdgeSoftmax, Gumbel, Relaxation, Softmax
from workers.supernets.sampling import Uniform


def relaxation_of(
    architecture: OneShot, method: Method, options: Mapping[str, Any], rng: torch.Generator
) -> Relaxation:
    match options.get("relaxation", method.relaxation):
        case "softmax":
            return Softmax(architecture, rng)
        case "edge_softmax":
            return EdgeSoftmax(architecture, rng)
        case "gumbel":
            ends = {name: options[f"tau_{name}"] for name in ("start", "end") if f"tau_{name}" in options}
            return Gumbel(architecture, rng, **ends)
        case "dirichlet":
            return Dirichlet(architecture, rng)
        case "uniform":
            return Uniform(architecture)
        case "binary":
            return Binary(architecture, rng)
        case "controller":
            return Controller(architecture, rng, options["controller_hidden"])
        case unknown:
            raise AssertionError(f"no relaxation {unknown!r}")


def drop_of(options: Mapping[str, Any], epoch: int, horizon: int) -> float:
    """The share of operations that an epoch leaves out; growing, it comes to its most in the last one."""
    most: float = options.get("drop", 0.0)
    return most if options.get("drop_schedule") == "constant" else most * epoch / max(1, horizon - 1)
