"""What a scheduler may answer: a small sum type, matched exhaustively by `search.engine.ask`.

Action = Sample | Promote | Fork | Evaluate | Replicate | Wait | Done
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from search.history import Config, Kind, Slot

WaitReason = Literal["barrier"]
DoneReason = Literal["budget", "target", "exhausted"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A new trial is wanted in this slot; the sampler turns it into a config. `parents` are trial numbers."""

    slot: Slot
    parents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Promote:
    """The trial of this run goes on, from that run's checkpoint, in this slot. `origin` tells the user why."""

    slot: Slot
    run: int
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fork:
    """A new trial begins with all that this run has learned: it goes on from the run's checkpoint with another config.

    Such a config comes from the scheduler, and may be one that is taken: after another beginning it is something else.
    """

    slot: Slot
    run: int
    config: Config
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Run exactly this config as a new trial (an enqueued one, a supernet, an architecture that it yielded)."""

    slot: Slot
    config: Config
    kind: Kind = "train"
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replicate:
    """The trial of this run is trained again, from scratch and with another seed. The slot is the run's, but for
    `replicate`."""

    slot: Slot
    run: int
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start now; ask again when an open run has ended."""

    reason: WaitReason
    detail: str


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing will ever be started again, unless the study's budget or space is changed, or people enqueue a config or
    invalidate a trial."""

    reason: DoneReason
    detail: str


Action = Sample | Promote | Fork | Evaluate | Replicate | Wait | Done
