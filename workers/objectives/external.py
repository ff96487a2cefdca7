"""The objective `external`: the runs are carried out by workers outside, which claim them over HTTP.

    objective: {type: external}

No pool ever has to do with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spaces.checks import unknown
from spaces.errors import Problem
from workers.protocol import Assignment, Metrics, Training


class ExternalObjective:
    """A `workers.protocol.Objective` without options; what its workers report nobody here knows."""

    def check(self, objective: Mapping[str, Any], study: Mapping[str, Any]) -> Sequence[Problem]:
        return list(_problems(objective))

    def train(self, assignment: Assignment) -> Training:
        raise AssertionError("an external run is claimed, never given to a pool")

    def test(self, assignment: Assignment) -> Metrics:
        raise AssertionError("an external study has no test on a pool")


def _problems(objective: Mapping[str, Any]) -> Iterator[Problem]:
    for name in objective:
        if name != "type":
            yield Problem(("objective", str(name)), unknown("field", name, ["type"]))
