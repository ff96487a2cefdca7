"""Kill -9, power cuts, hanging processes and a bad network, at random points; afterwards nothing is lost, nothing is
there twice, and every decision can be derived again.

The short form is a part of the tests. The long one, for the night:

    make chaos                          # 200 faults
    ASSAY_CHAOS_FAULTS=1000 make chaos

`ASSAY_CHAOS_SEED` chooses other faults; a failure tells which it was, and all faults with their times.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chaos.faults import Chaos
from tests.chaos.installation import Plan, building
from tests.chaos.invariants import broken
from tests.chaos.kinds import EXTERNAL_KINDS, POOL_KINDS

FAULTS = int(os.environ.get("ASSAY_CHAOS_FAULTS", "0"))
SEED = int(os.environ.get("ASSAY_CHAOS_SEED", "1"))
RAY_SHARE = 0.15
SECONDS_PER_FAULT = 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + SECONDS_PER_FAULT * FAULTS)]

SERVICES: Mapping[str, int] = {
    "kill api": 3,
    "kill dispatcher": 3,
    "kill worker": 4,
    "kill postgres": 3,
    "freeze api": 2,
    "freeze dispatcher": 2,
    "freeze worker": 4,
    "cut connections": 6,
    "storm": 4,
    "cut off replica": 2,
}
RAY: Mapping[str, int] = {
    "kill ray worker": 4,
    "kill ray head": 2,
    "kill raylet": 1,
    "kill dispatcher": 1,
    "kill postgres": 1,
}


def test_services_workers_database_and_network(tmp_path: Path) -> None:
    plan = Plan((*EXTERNAL_KINDS, *POOL_KINDS), apis=2, dispatchers=2, pool="local", workers=4)
    chaos(plan, SERVICES, FAULTS - round(FAULTS * RAY_SHARE) if FAULTS else 16, (0.3, 2.5), tmp_path)


def test_ray(tmp_path: Path) -> None:
    plan = Plan(POOL_KINDS, apis=1, dispatchers=2, pool="ray", workers=0)
    chaos(plan, RAY, round(FAULTS * RAY_SHARE) if FAULTS else 5, (2, 6), tmp_path)


def chaos(
    plan: Plan,
    weights: Mapping[str, int],
    number: int,
    gap: tuple[float, float],
    folder: Path,
) -> None:
    began = time.monotonic()
    with building(plan, folder, SEED) as installation:
        installation.wait_for(installation.all_begun, "every study has begun", 90)
        faults = Chaos(installation, SEED)
        try:
            faults.run(weights, number, gap)
            installation.drain(180)
            found = broken(installation)
        finally:
            # pytest shows it of tests that fail, and with -rP of all
            head = f"seed {SEED}, {len(installation.studies)} studies, {time.monotonic() - began:.0f} s"
            sys.stdout.write(f"{head}\n{faults.summary()}\n")
    found += [f"{name} ended with {status}" for name, status in installation.stopped.items() if status != 0]
    found += [f"process {pid} was left" for pid in installation.left]
    assert not found, "\n".join(found)
