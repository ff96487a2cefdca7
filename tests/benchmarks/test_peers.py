"""The pipe to the peers' adapters."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.methods import parse
from benchmarks.peers import PEERS, client, wire
from benchmarks.protocol import play
from benchmarks.tasks import Missing, load

ROOT = Path(__file__).resolve().parents[2]

ADAPTER = """
from benchmarks.peers.wire import Refused, Wanted, serve

class Search:
    def __init__(self, start):
        print("chatter that is no answer")
        if start.conditional:
            raise Refused("no conditions here")
        self.start, self.losses = start, []

    def ask(self):
        if len(self.losses) == 2:
            return None
        return self.start.wanted({"x": sum(self.losses)}, 33.3, 11)

    def tell(self, wanted, loss):
        self.losses.append(loss + wanted.config["x"])

serve(Search)
"""


def converse(*messages):
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    done = subprocess.run(
        [sys.executable, "-c", ADAPTER], input=lines, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def start(**space):
    space = {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 9}], **space}
    return {"start": {"peer": "none", "space": space, "eta": 3.0, "seed": 1, "budget": 60.0, "options": {}}}


def test_a_conversation():
    told = {"tell": 0, "loss": 2.0}, {"tell": 1, "loss": 3.0}
    fidelity = {"name": "epochs", "low": 1, "high": 100}
    ready, first, _, second, _, done = converse(
        start(fidelity=fidelity), {"ask": True}, told[0], {"ask": True}, told[1], {"ask": True}
    )
    assert ready == {"ready": True}
    assert first == {"token": 0, "config": {"x": 0}, "fidelity": 33, "resumed": 11}
    assert second == {"token": 1, "config": {"x": 2.0}, "fidelity": 33, "resumed": 11}
    assert done == {"done": True}


def test_a_refusal_is_an_answer():
    parameters = [{"name": "x", "type": "int", "low": 0, "high": 9, "when": {"parameter": "y", "equals": 1}}]
    assert converse(start(parameters=parameters)) == [{"refused": "no conditions here"}]


def test_without_a_fidelity_everything_is_in_full():
    begun = wire.Start(**start()["start"])
    assert begun.range == (1.0, 1.01)
    assert begun.wanted({"x": 1}, 1.01) == wire.Wanted({"x": 1})


def test_conditions_look_back():
    child = {"name": "b", "when": {"parameter": "a", "in": [1, 2]}}
    parent = {"name": "a"}
    assert wire.parents_first([child, parent]) == [parent, child]
    assert [wire.active(child, config) for config in ({"a": 1}, {"a": 3}, {})] == [True, False, False]


def test_a_peer_that_is_not_installed_is_missing_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.peers.ENVIRONMENTS_FOLDER", tmp_path)
    with pytest.raises(Missing, match=r"python -m benchmarks.peers.install smac"):
        play(load("hartmann3"), parse("peer/smac").start, 0, 2)


def test_every_peer_has_an_adapter():
    for peer in PEERS.values():
        assert (ROOT / "benchmarks" / "peers" / f"{peer.adapter}.py").is_file()
        assert all("==" in requirement for requirement in peer.requirements[:1])


def test_optuna_is_played_through_the_pipe(monkeypatch):
    """With the Optuna of this environment, if it has one: the same adapter and the same pipe."""
    pytest.importorskip("optuna", reason="Optuna is not installed here")
    monkeypatch.setattr(client, "installed", lambda name: True)
    monkeypatch.setattr(client, "python", lambda name: Path(sys.executable))
    task, method = load("hartmann6"), parse("peer/optuna-tpe:n_startup_trials=5")
    curve = play(task, method.start, 1, 12)
    assert (curve.evaluations, curve.spent) == (12, 12)
    again = play(task, method.start, 1, 12)
    assert again.steps == curve.steps
