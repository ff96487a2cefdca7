"""Our side of the pipe to a peer's adapter."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, installed, python
from benchmarks.protocol import Suggestion
from benchmarks.tasks import Missing

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


class PeerSession:
    """One search by a peer, in a process of its own. Raises Missing when it is not installed or refuses the space."""

    def __init__(
        self, name: str, space: Mapping[str, Any], eta: float, seed: int, budget: float, options: Mapping[str, Any]
    ) -> None:
        if not installed(name):
            raise Missing(f"peer {name} is not installed: python -m benchmarks.peers.install {name}")
        self._name = name
        self._process = subprocess.Popen(
            [str(python(name)), "-m", f"benchmarks.peers.{PEERS[name].adapter}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, "PYTHONHASHSEED": "0"},
            text=True,
        )
        start = {"peer": name, "space": space, "eta": eta, "seed": seed, "budget": budget, "options": dict(options)}
        answer = self._exchange({"start": start})
        if "refused" in answer:
            self.close()
            raise Missing(f"{name}: {answer['refused']}")

    def ask(self) -> Suggestion | None:
        answer = self._exchange({"ask": True})
        if "done" in answer:
            return None
        return Suggestion(answer["config"], answer["fidelity"], answer["resumed"], answer["token"])

    def tell(self, suggestion: Suggestion, loss: float) -> None:
        self._exchange({"tell": suggestion.token, "loss": loss})

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the adapter of peer {self._name} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
