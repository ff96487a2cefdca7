"""Other people's services under the same load, each in a virtual environment of its own.

    python -m benchmarks.service.peers --install    # creates the environments

A peer is an adapter (`benchmarks/service/peers/<adapter>.py`) that is run by its environment's interpreter, once as the
server and again as the workers; `adapter` says how. Nothing of a peer is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENTS_FOLDER = Path(__file__).resolve().parents[2] / ".venv"


@dataclass(frozen=True)
class Peer:
    """`databases` are those that its server can store in."""

    requirements: tuple[str, ...]
    databases: tuple[str, ...]
    what: str

    def python(self, name: str) -> Path:
        """The interpreter of its environment, which need not exist."""
        return ENVIRONMENTS_FOLDER / f"service-{name}" / "bin" / "python"

    def installed(self, name: str) -> bool:
        return (self.python(name).parents[1] / "complete").is_file()


PEERS: Mapping[str, Peer] = {
    "optuna": Peer(
        ("optuna==5.0.0", "grpcio==1.85.1", "protobuf==7.36.2", "psycopg[binary]==3.3.9"),
        ("sqlite", "postgresql"),
        "Optuna's gRPC storage proxy, TPE in the workers",
    ),
    "vizier": Peer(
        # The versions of jax and its friends are those that this release was made for: it does not bound them.
        (
            *("google-vizier[jax]==0.1.24", "jax==0.4.38", "jaxlib==0.4.38", "flax==0.10.2"),
            *("chex==0.1.88", "optax==0.2.4", "orbax-checkpoint<0.11", "numpy<2.3"),
        ),
        ("sqlite",),
        "OSS Vizier's service, random search",
    ),
}
"""By name, which is that of the adapter, too."""
