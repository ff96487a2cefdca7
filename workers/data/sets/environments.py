"""Worlds to act in, from Gymnasium. There are no examples: what an agent learns from, it lives through.

The one input is a state of zeros, there to measure an agent's network with; training, validation and test have it all.
Which world it is stands in the context (`workers.data.environments`).
"""

from __future__ import annotations

import numpy as np

from workers.data.source import Source
from workers.data.splits import Split
from workers.rows import Dataset


def _row(name: str, title: str, states: int, sizes: dict[str, int], source: str, sha256: str) -> Dataset:
    return Dataset(
        name=name,
        title=title,
        tasks=("control",),
        inputs="environment",
        shape=(states,),
        outputs=sum(sizes.values()),
        examples=1,
        licence="MIT (code, no data)",
        source=source,
        loader=f"workers.data.sets.environments:{name}",
        splitting="drawn",
        sizes=sizes,
        needs="pip install 'assay[data]' (gymnasium)",
        sha256=sha256,
    )


DATASETS = (
    _row(
        "cartpole",
        "A pole on a cart, to be kept upright for 500 steps",
        4,
        {"actions": 2},
        "A. Barto, R. Sutton and C. Anderson, Neuronlike adaptive elements that can solve difficult learning control "
        "problems, 1983 (Gymnasium's CartPole-v1)",
        "9c72b8b8f70b03723c39bea7dcfb304aa8a34932ccdc0f98b651b8a486d3043e",
    ),
    _row(
        "acrobot",
        "Two links that hang down, to be swung up in at most 500 steps",
        6,
        {"actions": 3},
        "R. Sutton, Generalization in reinforcement learning, 1996 (Gymnasium's Acrobot-v1)",
        "0fbf5f4c8cbceb444db07ad1e45485c045fc3788afa6d070f3b682e006305541",
    ),
    _row(
        "mountain_car",
        "A weak car in a valley, to be driven out in at most 200 steps",
        2,
        {"actions": 3},
        "A. Moore, Efficient memory-based learning for robot control, 1990 (Gymnasium's MountainCar-v0)",
        "c8449e1558aade4b933e2b45fd522dce557d46be13202c31332f7c9d3ee0e32b",
    ),
    _row(
        "pendulum",
        "A pendulum, to be swung up and held by a torque, for 200 steps",
        3,
        {"controls": 1},
        "K. Doya, Reinforcement learning in continuous time and space, 2000 (Gymnasium's Pendulum-v1)",
        "9da12262c1a45d40b0c74380b9d92ede9cec5e1d7369d38deee9026834ec69d5",
    ),
)


def cartpole() -> Source:
    return _world("CartPole-v1", 4)


def acrobot() -> Source:
    return _world("Acrobot-v1", 6)


def mountain_car() -> Source:
    return _world("MountainCar-v0", 2)


def pendulum() -> Source:
    return _world("Pendulum-v1", 3)


def _world(name: str, states: int) -> Source:
    only = np.zeros(1, dtype=np.int64)
    named = np.frombuffer(name.encode(), dtype=np.uint8).copy()
    return Source(np.zeros((1, states), np.float32), None, {"environment": named}, Split(only, only, only))
