"""A worker against a real service on a socket: what becomes of its runs, whatever it does, whatever is in between."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from typer.testing import CliRunner, Result

import assay
from assay.attempt import Run
from assay.cli import app as command_line
from service.app import create_app
from service.database import Database
from service.settings import Settings

STUDY: dict[str, Any] = {
    "name": "s",
    "space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]},
    "objective": {"type": "external"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 3},
    "parallelism": 4,
    "retry": {"backoff_seconds": 0},
}
EPOCHS = {"space": {**STUDY["space"], "fidelity": {"name": "epochs", "low": 1, "high": 9}}}
Fault = Callable[[str], str | None]


class Site:
    """The app behind a proxy that loses what it is told to lose; it can be closed, and opened again at its address."""

    def __init__(self, data_dir: Path, database: Database) -> None:
        self.app = create_app(Settings(data_dir=data_dir), database)
        self.requests: list[str] = []
        self.fault: Fault = lambda request: None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.open()

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._server = uvicorn.Server(uvicorn.Config(self._proxy, interface="asgi3", log_level="critical"))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[listener])), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)

    async def _proxy(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = f"{scope['method']} {scope['path'].removeprefix('/api/v1/')}"
        self.requests.append(request)
        fault = self.fault(request)
        if fault is None:
            return await self.app(scope, receive, send)
        if fault == "answer lost":

            async def nowhere(message: Any) -> None:
                pass

            await self.app(scope, receive, nowhere)
        await send({"type": "http.response.start", "status": 502, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<h1>Bad gateway</h1>"})
        return None


@pytest.fixture
def site(tmp_path: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("assay.patience.SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr("assay.attempt.SHORTEST_PAUSE", 0.01)
    site = Site(tmp_path, sqlite_database)
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> Iterator[assay.Client]:
    with assay.Client(site.url) as client:
        yield client


def train(run: Run) -> None:
    """Reports every epoch up to the last."""
    last = run.fidelity.value if run.fidelity else 1
    step = (run.resume_from or {}).get("step") or 0
    while run.report(step := step + 1, loss=run.config["x"] / step):
        assert step < last


# The loop


def test_a_study_is_carried_out_to_its_end(site: Site, client: assay.Client) -> None:
    client.studies.create({**STUDY, **EPOCHS})
    seen: list[Run] = []

    def remember(run: Run) -> dict[str, float]:
        seen.append(run)
        train(run)
        return {"loss": run.config["x"]}

    assert client.work("s", remember) == 3
    study = client.studies.get("s")
    assert (study["state"], study["counts"]["succeeded"]) == ("completed", 3)
    assert [run.number for run in seen] == [0, 1, 2]
    assert {run.fidelity for run in seen} == {assay.Fidelity("epochs", 9, 9)}
    assert len({run.seed for run in seen}) == 3
    for run in client.studies.runs("s"):
        assert run["metrics"] == {"loss": run["config"]["x"]}
        assert [report["step"] for report in client.studies.reports("s", run=run["number"])] == list(range(1, 10))


def test_only_so_many_runs(client: assay.Client) -> None:
    client.studies.create(STUDY)
    assert client.work("s", train, max_runs=2) == 2
    assert client.studies.get("s")["state"] == "active"


def test_two_workers_wait_for_each_other_at_a_barrier(client: assay.Client) -> None:
    client.studies.create({**STUDY, **EPOCHS, "algorithm": {"name": "hyperband"}, "budget": {"max_trials": 17}})
    done: list[int] = []
    crew = [threading.Thread(target=lambda: done.append(client.work("s", train))) for _ in range(2)]
    for worker in crew:
        worker.start()
    for worker in crew:
        worker.join(60)
    assert sum(done) == 22
    assert all(done)
    assert client.studies.get("s")["state"] == "completed"
    runs = Counter((run["bracket"], run["rung"]) for run in client.studies.runs("s"))
    assert runs == {(0, 0): 9, (0, 1): 3, (0, 2): 1, (1, 1): 5, (1, 2): 1, (2, 2): 3}


def test_without_metrics_the_last_report_counts_and_scalars_of_all_kinds_are_numbers(client: assay.Client) -> None:
    client.studies.create(STUDY)
    values = iter([np.float32(0.5), torch.tensor(0.25, requires_grad=True), 1])

    def report(run: Run) -> None:
        run.report(np.int64(3), loss=next(values))

    client.work("s", report)
    assert [run["metrics"] for run in client.studies.runs("s")] == [{"loss": 0.5}, {"loss": 0.25}, {"loss": 1}]
    assert {report["step"] for report in client.studies.reports("s")} == {3}


def test_nonsense_is_refused_where_it_is_said(client: assay.Client) -> None:
    client.studies.create(STUDY)

    def talk_nonsense(run: Run) -> Any:
        if run.number == 0:
            run.report(1, loss="low")
        if run.number == 1:
            run.report(-1, loss=1.0)
        return {"loss": [1]}

    client.work("s", talk_nonsense)
    failures = [run["failure"] for run in client.studies.runs("s")]
    assert [failure["class"] for failure in failures if failure] == ["error"] * 3
    messages = [failure["message"] for failure in failures if failure]
    assert messages[0] == "TypeError: loss is 'low', which is not a number"
    assert messages[1].startswith("Invalid: reports[0].step: ")
    assert messages[2] == "TypeError: loss is [1], which is not a number"


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


@pytest.mark.parametrize(
    ("error", "class_", "message"),
    [
        (ZeroDivisionError("by zero"), "error", "ZeroDivisionError: by zero"),
        (MemoryError("too much"), "oom", "MemoryError: too much"),
        (OutOfMemoryError("CUDA"), "oom", "OutOfMemoryError: CUDA"),
        (assay.NotFound(404, "Not found"), "error", "NotFound: Not found (404)"),
        (OSError("no file a\0\udcff"), "error", r"OSError: no file a\x00\udcff"),
    ],
)
def test_what_the_training_raises_fails_its_run_alone(
    client: assay.Client, error: Exception, class_: str, message: str
) -> None:
    client.studies.create(STUDY)

    def fail_once(run: Run) -> dict[str, float]:
        if run.number == 0:
            raise error
        return {"loss": 1}

    assert client.work("s", fail_once) == 3
    first, second, _ = client.studies.runs("s")
    assert first["failure"]
    assert (first["failure"]["class"], first["failure"]["message"]) == (class_, message)
    assert "in fail_once" in first["failure"]["traceback"]
    assert second["state"] == "succeeded"


@pytest.mark.parametrize("by", ["the run", "the script"])
def test_a_config_that_cannot_be_carried_out(client: assay.Client, by: str) -> None:
    client.studies.create({**STUDY, "budget": {"max_runs": 1}})

    def reject(run: Run) -> None:
        run.infeasible("too large") if by == "the run" else assay.infeasible("too large")

    client.work("s", reject)
    assert client.studies.run("s", 0)["failure"]["class"] == "infeasible"  # type: ignore[index]


def test_what_diverges_is_told_to_stop(client: assay.Client) -> None:
    client.studies.create({**STUDY, **EPOCHS, "budget": {"max_runs": 1}})
    answers: list[bool] = []

    def diverge(run: Run) -> None:
        answers.extend(run.report(step, loss=float("nan") if step == 2 else 1.0) for step in (1, 2))

    client.work("s", diverge)
    assert answers == [True, False]
    assert client.studies.run("s", 0)["failure"]["class"] == "diverged"  # type: ignore[index]


def test_a_stopping_rule_is_heard(client: assay.Client) -> None:
    client.studies.create(
        {
            **STUDY,
            **EPOCHS,
            "algorithm": {"name": "random", "stop": {"rule": "median", "trials": 2, "grace": 2}},
            "budget": {"max_runs": 4},
        }
    )

    def worse_and_worse(run: Run) -> None:
        step = 0
        while run.report(step := step + 1, loss=float(run.number)):
            pass

    client.work("s", worse_and_worse)
    assert [run["state"] for run in client.studies.runs("s")] == ["succeeded", "succeeded", "stopped", "stopped"]
    assert len(list(client.studies.reports("s", run=2))) == 2


def test_a_worker_on_which_everything_fails_stops(client: assay.Client) -> None:
    client.studies.create({**STUDY, "budget": {"max_runs": 100}})

    def fail(run: Run) -> None:
        raise ImportError("no module named torch")

    with pytest.raises(ImportError) as raised:
        client.work("s", fail, max_failures=3)
    assert "3 runs in a row" in raised.value.__notes__[0]
    assert client.studies.get("s")["counts"]["failed"] == 3


def test_an_interrupted_run_is_handed_back(client: assay.Client) -> None:
    client.studies.create(STUDY)

    def interrupt(run: Run) -> None:
        run.report(1, loss=1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.work("s", interrupt)
    assert client.studies.run("s", 0)["state"] == "pending"
    assert client.work("s", lambda run: {"loss": run.attempt}) == 3
    assert [run["metrics"] for run in client.studies.runs("s")] == [{"loss": 2}, {"loss": 1}, {"loss": 1}]


def test_sigterm_hands_the_run_back(site: Site, client: assay.Client, tmp_path: Path) -> None:
    client.studies.create(STUDY)
    program = (
        "import assay, time\n"
        "def train(run):\n    run.report(1, loss=1.0)\n    print('trains', flush=True)\n    time.sleep(60)\n"
        f"assay.Client({site.url!r}).work('s', train)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == "trains\n"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 128 + signal.SIGTERM
    assert client.studies.run("s", 0)["state"] == "pending"


def test_a_restarted_worker_goes_on_with_its_run(client: assay.Client, tmp_path: Path) -> None:
    client.studies.create({**STUDY, **EPOCHS, "budget": {"max_runs": 1}})
    # Its first life, which ended without a word.
    (run,) = client.studies.claim("s", "box-1")["assignments"]
    client.runs.report(run["id"], run["token"], 1, {"loss": 1})
    client.runs.checkpoint(run["id"], run["token"], "s3://bucket/1", 1)
    seen: list[Any] = []

    def go_on(again: Run) -> None:
        seen.append((again.number, again.attempt, again.load_checkpoint()))
        train(again)

    assert client.work("s", go_on, worker="box-1") == 1
    assert seen == [(0, 1, "s3://bucket/1")]
    assert [report["step"] for report in client.studies.reports("s")] == list(range(1, 10))


# Leases


def test_a_silent_phase_costs_no_lease(site: Site, client: assay.Client) -> None:
    client.studies.create({**STUDY, "budget": {"max_runs": 2}})

    def slow(run: Run) -> dict[str, float]:
        for _ in range(8):
            time.sleep(0.5)
            client.studies.claim("s", "other", lease_seconds=None)  # whoever claims finds those who are lost
        return {"loss": 1}

    client.work("s", slow, lease_seconds=2, max_runs=1)
    run = client.studies.run("s", 0)
    assert (run["state"], run["attempts"]) == ("succeeded", 1)
    assert any(request.endswith("/heartbeat") for request in site.requests)


@pytest.mark.parametrize("how", ["cancelled", "taken"])
def test_an_attempt_that_counts_no_longer_ends_quietly(
    client: assay.Client, how: str, caplog: pytest.LogCaptureFixture, sqlite_database: Database
) -> None:
    client.studies.create({**STUDY, **EPOCHS})
    answers: list[bool] = []

    def go_on(run: Run) -> dict[str, float]:
        answers.append(run.report(1, loss=1))
        if len(answers) == 1:
            if how == "cancelled":
                client.studies.cancel("s")
            else:
                client.runs.fail(run.id, run._token, class_="preempted")
            answers.append(run.report(2, loss=1))
            answers.append(run.report(3, loss=1))
            answers.append(run.save_checkpoint("s3://bucket/key", 3))
        return {"loss": 2}

    with caplog.at_level(logging.WARNING, "assay"):
        client.work("s", go_on, max_runs=1)
    assert answers == [True, False, False, False]
    assert "counts no longer" in caplog.text
    assert client.studies.run("s", 0)["metrics"] is None


# What is in between


@pytest.mark.parametrize("fault", ["never arrived", "answer lost"])
def test_nothing_is_lost_or_doubled_on_a_bad_line(site: Site, client: assay.Client, fault: str) -> None:
    client.studies.create({**STUDY, **EPOCHS, "algorithm": {"name": "hyperband"}, "budget": {"max_runs": 22}})
    tries: Counter[str] = Counter()

    def every_second(request: str) -> str | None:
        if request.startswith("GET"):
            return None
        tries[request] += 1
        return fault if tries[request] % 2 else None

    site.fault = every_second
    assert client.work("s", train, lease_seconds=None) == 22
    runs = list(client.studies.runs("s"))
    assert Counter(run["state"] for run in runs) == {"succeeded": 22}
    assert {run["attempts"] for run in runs} == {1}
    for run in runs:
        steps = [report["step"] for report in client.studies.reports("s", run=run["number"])]
        assert steps == list(range(1, int(run["fidelity"] or 0) + 1))


def test_a_training_goes_on_while_the_service_is_away(site: Site, client: assay.Client) -> None:
    client.studies.create({**STUDY, **EPOCHS, "budget": {"max_runs": 1}})

    def outlast(run: Run) -> None:
        assert run.report(1, loss=1.0)
        site.close()
        for step in range(2, 9):
            assert run.report(step, loss=1.0 / step), "as far as it knows it is to go on"
        threading.Timer(0.5, site.open).start()
        assert not run.report(9, loss=0.1), "its last one"

    client.work("s", outlast)
    assert client.studies.run("s", 0)["metrics"] == {"loss": 0.1}
    reports = list(client.studies.reports("s"))
    assert [report["step"] for report in reports] == list(range(1, 10)), "all of them, in order"
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(reports))


def test_a_service_that_stays_away_ends_the_worker(site: Site, client: assay.Client) -> None:
    site.close()
    with pytest.raises(assay.ConnectionFailed):
        client.work("s", train, patience=0.05)


def test_what_is_no_passing_failure_is_raised_at_once(client: assay.Client) -> None:
    with pytest.raises(assay.NotFound):
        client.work("nobody", train)
    client.studies.create({**STUDY, "objective": {"type": "function", "function": "noop"}})
    with pytest.raises(assay.Invalid, match="only external objectives"):
        client.work("s", train)


# Checkpoints


def test_a_promoted_run_goes_on_from_the_checkpoint_of_its_trial(client: assay.Client, tmp_path: Path) -> None:
    client.studies.create({**STUDY, **EPOCHS, "algorithm": {"name": "hyperband"}, "budget": {"max_runs": 22}})
    resumed: list[Path] = []

    def go_on(run: Run) -> None:
        found = run.load_checkpoint()
        if run.resume_from is not None:
            assert isinstance(found, Path)
            assert found.read_text() == f"trial {run.trial} at {run.resume_from['step']}"
            resumed.append(found)
        train(run)
        file = tmp_path / "weights"
        file.write_text(f"trial {run.trial} at {run.fidelity.value if run.fidelity else 0}")
        assert run.save_checkpoint(file, run.fidelity.value if run.fidelity else 0)

    assert client.work("s", go_on) == 22
    assert len(resumed) == 5, "the runs above the first rungs"
    assert not any(path.exists() for path in resumed)


def test_a_checkpoint_that_is_no_file(client: assay.Client, tmp_path: Path) -> None:
    client.studies.create({**STUDY, "budget": {"max_runs": 1}})

    def save(run: Run) -> dict[str, float]:
        with pytest.raises(FileNotFoundError):
            run.save_checkpoint(tmp_path / "nothing", 1)
        with pytest.raises(IsADirectoryError):
            run.save_checkpoint(tmp_path, 1)
        assert run.load_checkpoint() is None
        return {"loss": 1}

    client.work("s", save)
    assert client.studies.run("s", 0)["state"] == "succeeded"


# People


@pytest.fixture
def cli(site: Site) -> Callable[..., Result]:
    env = {"ASSAY_URL": site.url, "COLUMNS": "80", "TERM": "dumb"}
    return lambda *args: CliRunner().invoke(command_line, args, env=env)


def test_people_work_without_leases(client: assay.Client, cli: Callable[..., Result]) -> None:
    client.studies.create({**STUDY, **EPOCHS})
    claimed = cli("claim", "s", "--worker", "ann", "--no-lease")
    assert claimed.exit_code == 0, claimed.output
    id_, token, *config = claimed.stdout.split()
    assert id_ == "1-0"
    assert " ".join(config).startswith('{"x": 0.')
    assert claimed.stdout.rstrip().endswith("| epochs 9")
    assert cli("claim", "s", "--worker", "ann", "--no-lease").stdout == claimed.stdout
    assert cli("report", id_, token, "step=1", "loss=0.5").stdout == "continue\n"
    assert cli("report", id_, token).stdout == "continue\n"
    done = cli("complete", id_, token, "loss=0.25")
    assert (done.exit_code, done.stderr) == (0, "run 0 is succeeded\n")
    id_, token, *_ = cli("claim", "s", "--worker", "ann").stdout.split()
    failed = cli("fail", id_, token, "it exploded", "--class", "infeasible")
    assert (failed.exit_code, failed.stderr) == (0, "run 1 is failed (infeasible: it exploded)\n")
    id_, token, *_ = cli("claim", "s", "--worker", "ann").stdout.split()
    assert cli("fail", id_, token, "--class", "preempted").exit_code == 0
    assert cli("complete", id_, token, "loss=1").exit_code == 0, "its end was told before"
    client.work("s", train)
    late = cli("report", id_, token, "step=1", "loss=1")
    assert late.exit_code == 5
    assert "has been given up or is over" in late.stderr
    over = cli("claim", "s", "--worker", "ann")
    assert (over.exit_code, over.stdout) == (4, "")
    assert over.stderr.startswith("budget: ")


@pytest.mark.parametrize(
    "args",
    [
        ("report", "1-0", "token", "loss=0.5"),
        ("report", "1-0", "token", "step=1", "loss"),
        ("complete", "1-0", "token", "loss=low"),
        ("claim", "s", "--count", "0"),
        ("fail", "1-0", "token", "--class", "lost"),
    ],
)
def test_wrong_usage(cli: Callable[..., Result], args: tuple[str, ...]) -> None:
    assert cli(*args).exit_code == 2
