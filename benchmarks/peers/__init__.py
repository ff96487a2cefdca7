"""Other people's optimizers, each in a virtual environment of its own, asked and told over a pipe.

    python -m benchmarks.peers.install            # creates the environments
    python -m benchmarks.regret --methods tpe peer/optuna-tpe

A peer is an adapter (`benchmarks/peers/<adapter>.py`) that runs in the peer's environment and speaks JSON lines with
`client.PeerSession`; `wire` says how. Nothing of a peer is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENTS_FOLDER = Path(__file__).resolve().parents[1] / ".venv"


@dataclass(frozen=True)
class Peer:
    """`environment` is the virtual environment's name; several peers may share one, with the same `requirements`."""

    adapter: str
    environment: str
    requirements: tuple[str, ...]
    what: str


OPTUNA = ("optuna==5.0.0", "scipy", "torch")
SMAC = ("smac==2.4.1",)
NEPS = ("neural-pipeline-search==0.17.0",)

PEERS: Mapping[str, Peer] = {
    "optuna-tpe": Peer("optuna", "optuna", OPTUNA, "TPE of Optuna, its defaults"),
    "optuna-gp": Peer("optuna", "optuna", OPTUNA, "the Gaussian process of Optuna, its defaults"),
    "smac": Peer("smac", "smac", SMAC, "random-forest Bayesian optimization of SMAC3 (its HPO facade)"),
    "smac-hyperband": Peer("smac", "smac", SMAC, "random forest x Hyperband of SMAC3 (its multi-fidelity facade)"),
    "neps-priorband": Peer("neps", "neps", NEPS, "PriorBand of NePS"),
    "neps-hyperband": Peer("neps", "neps", NEPS, "Hyperband of NePS"),
    "dehb": Peer("dehb", "dehb", ("dehb==0.1.2", "numpy==1.26.4"), "differential evolution x Hyperband"),
    "hpbandster-bohb": Peer("hpbandster", "hpbandster", ("hpbandster==0.7.4",), "BOHB of its authors"),
}
"""All peers, by name."""

CONSTRAINTS = ("torch==2.13.0",)
"""Versions for all environments: the one build of torch that is small, for the CPU."""


def python(name: str) -> Path:
    """The interpreter of a peer's environment, which need not exist."""
    return ENVIRONMENTS_FOLDER / PEERS[name].environment / "bin" / "python"


def installed(name: str) -> bool:
    """Whether the peer's environment is there and complete (the installer marks it last)."""
    return (python(name).parents[1] / "complete").is_file()
