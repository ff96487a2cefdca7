"""What a family says where settings describe no network."""

from __future__ import annotations

from workers.protocol import Failure, FailureClass


def infeasible(reason: str) -> Failure:
    return Failure(FailureClass.INFEASIBLE, reason)
