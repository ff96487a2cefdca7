"""Workers of one's own, in any language, with one service or with several replicas of each of its parts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

import assay
from search.replay import Verified, verify
from service.database import Database
from service.models import Attempt, Event, Run, Study
from service.record import stored_record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WORKERS = ROOT / "examples" / "workers"
STUDY: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ],
        "fidelity": {"name": "steps", "low": 1, "high": 9},
    },
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "hyperband", "eta": 3},
    "seed": 7,
}


@contextmanager
def processes(*commands: list[str], **environment: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Child processes, none of which outlives the block."""
    started = [
        subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def test_a_shell_and_a_python_worker_carry_out_a_study_together(start_service: Callable[..., Any]) -> None:
    service = start_service("--pool", "local")
    study = yaml.safe_load((ROOT / "examples" / "studies" / "external-quadratic.yaml").read_text())
    service.create(study)
    shell = ["bash", str(WORKERS / "worker.sh"), study["name"]]
    python = [sys.executable, str(WORKERS / "worker.py"), study["name"]]
    with processes(shell, python, ASSAY_URL=service.url, PYTHONPATH=str(ROOT)) as workers:
        ended = service.wait_until_finished(study["name"])
        outputs = [worker.communicate(timeout=60)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0]
    assert (ended["state"], ended["counts"]["succeeded"]) == ("completed", 40)
    runs = service.items(f"/studies/{study['name']}/runs")
    assert [run["number"] for run in runs] == list(range(40))
    assert {(run["state"], run["attempts"]) for run in runs} == {("succeeded", 1)}
    for run in runs:
        x, y = run["config"]["x"], run["config"]["y"]
        assert run["metrics"]["loss"] == pytest.approx((x - 1) ** 2 + (y + 2) ** 2 + 1 / 5, rel=1e-4)
    reports = service.items(f"/studies/{study['name']}/reports")
    steps = Counter((report["run"], report["step"]) for report in reports)
    assert steps == {(run, step): 1 for run in range(40) for step in range(1, 6)}
    by_python = int(re.search(r"carried out (\d+) runs", outputs[1])[1])  # type: ignore[index]
    assert 0 < by_python < 40, "each of the two had its part"


def test_the_shell_worker_says_what_is_wrong(start_service: Callable[..., Any]) -> None:
    service = start_service("--pool", "local")
    command = ["bash", str(WORKERS / "worker.sh"), "nobody"]
    environment = {**os.environ, "ASSAY_URL": service.url}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "nobody" in ended.stderr


def carry_out(url: str, study: str, name: str, done: list[int]) -> None:
    def train(run: assay.Run) -> None:
        step = (run.resume_from or {}).get("step") or 0
        while run.report(step := step + 1, loss=run.config["x0"] ** 2 + run.config["x1"] + 1 / step):
            pass
        run.save_checkpoint(f"s3://bucket/{run.number}", step)

    with assay.Client(url) as client:
        done.append(client.work(study, train, worker=name))


def owner_of(database: Database, name: str) -> str | None:
    with database.session(write=False) as session:
        return session.scalar(sa.select(Study.owner).where(Study.name == name))


def test_two_of_everything_of_which_one_is_killed(
    start_service: Callable[..., Any], new_database_url: Callable[[str], str], tmp_path: Path
) -> None:
    """Two API processes with eight workers each and two dispatchers on one PostgreSQL, while one dispatcher dies."""
    url = new_database_url("postgresql")
    database = Database(url)
    apis = [start_service("--only", "api", "--database-url", url, data_dir=f"api-{n}") for n in range(2)]
    pooled = {**STUDY, "objective": {"type": "function", "function": "branin", "seconds_per_step": 0.05}}
    apis[0].create({**pooled, "name": "pool", "budget": {"max_runs": 22}, "parallelism": 2})
    apis[1].create(
        {**STUDY, "name": "external", "objective": {"type": "external"}, "budget": {"max_runs": 220}, "parallelism": 16}
    )
    command = [sys.executable, "-m", "assay", "up", "--only", "dispatcher", "--pool", "local", "--workers", "2"]
    command += ["--database-url", url, "--data-dir", str(tmp_path / "shared")]
    with processes(command, command, ASSAY_LEASE_SECONDS="3") as dispatchers:
        apis[0].wait_for(lambda: apis[1].study("pool")["counts"]["succeeded"] >= 3, "some runs of the pool")
        owner = owner_of(database, "pool")
        assert owner is not None
        (victim,) = [process for process in dispatchers if f":{process.pid}:" in owner]
        done: list[int] = []
        crew = [
            threading.Thread(target=carry_out, args=(api.url, "external", f"worker-{place}-{number}", done))
            for place, api in enumerate(apis)
            for number in range(8)
        ]
        for worker in crew:
            worker.start()
        victim.send_signal(signal.SIGKILL)
        for worker in crew:
            worker.join(180)
        assert apis[0].wait_until_finished("pool")["state"] == "completed"
        assert apis[1].wait_until_finished("external")["state"] == "completed"
        survivor = next(process for process in dispatchers if process is not victim)
        survivor.terminate()
        assert survivor.wait(60) == 0
    assert sum(done) == 220

    runs = apis[0].items("/studies/external/runs")
    assert [run["number"] for run in runs] == list(range(220)), "no gap"
    assert {(run["state"], run["attempts"]) for run in runs} == {("succeeded", 1)}, "nothing was carried out twice"
    # Sixteen at once begin the next cycle while the last promotions of this one wait for results.
    sizes = Counter((run["bracket"] % 3, run["rung"]) for run in runs)
    cycle = {(0, 0): 9, (0, 1): 3, (0, 2): 1, (1, 1): 5, (1, 2): 1, (2, 2): 3}
    assert all(9 * size <= sizes[place] <= 11 * size for place, size in cycle.items()), sizes
    with database.session(write=False) as session:
        study = session.scalars(sa.select(Study).where(Study.name == "external")).one()
        assert isinstance(verify(stored_record(session, study)), Verified), (
            "the rungs are exactly what Hyperband decides"
        )
    runs = apis[1].items("/studies/pool/runs")
    sizes = Counter((run["bracket"], run["rung"]) for run in runs)
    assert all(sizes[place] <= size for place, size in cycle.items()), sizes
    assert len(runs) == 22
    assert {run["state"] for run in runs} == {"succeeded"}
    assert sum(run["attempts"] for run in runs) > len(runs), "the kill hit runs that were under way"
    with database.session(write=False) as session:
        for study in session.scalars(sa.select(Study)):
            mine = Event.study_id == study.id
            seqs = session.scalars(sa.select(Event.seq).where(mine).order_by(Event.seq)).all()
            assert seqs == list(range(1, study.last_event + 1))
            assert study.counts == {"succeeded": study.spec["budget"]["max_runs"]}
            tokens = session.scalars(sa.select(Attempt.token).where(Attempt.study_id == study.id)).all()
            assert len(tokens) == sum(session.scalars(sa.select(Run.attempts).where(Run.study_id == study.id)).all()), (
                "as many attempts as the runs say"
            )
    database.dispose()
