"""The commands: data on stdout, messages on stderr, documented exit codes, no tracebacks."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from assay.cli import app
from assay.exit_codes import MEANINGS, ExitCode
from assay.study_file import parse

API = "/api/v1"
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def cli(service: Any) -> Callable[..., Result]:
    def run(*args: str, stdin: str | None = None) -> Result:
        env = {"ASSAY_URL": service.url, "COLUMNS": "80", "TERM": "dumb"}
        return CliRunner().invoke(app, args, input=stdin, env=env)

    return run


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text("name: digits\nspace:\n  parameters:\n    - {name: lr, type: float, low: 1e-4, high: 0.3}\n")
    return path


# --- study create


def test_create_prints_the_name(service: Any, cli: Any, study_file: Path, make_study: Make) -> None:
    service.routes[f"POST {API}/studies"] = (201, make_study(state="active"))

    result = cli("study", "create", "-f", str(study_file))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "digits\n", "")
    assert service.requests[0].body["space"]["parameters"][0]["low"] == 1e-4


def test_create_tells_advice_with_its_place(service: Any, cli: Any, study_file: Path, make_study: Make) -> None:
    path, pointer = "space.parameters[0].log", "/space/parameters/0/log"
    advice = [{"path": path, "pointer": pointer, "message": "is linear over 3.5 decades"}]
    service.routes[f"POST {API}/studies"] = (201, make_study(state="active", advice=advice))

    result = cli("study", "create", "-f", str(study_file))

    assert (result.exit_code, result.stdout) == (0, "digits\n")
    assert result.stderr == f"advice: {study_file}:4:7: {path}: is linear over 3.5 decades\n"


def test_show_tells_advice_and_what_was_taken_from_other_studies(service: Any, cli: Any, make_study: Make) -> None:
    advice = [{"path": "warm_start[0]", "pointer": "/warm_start/0", "message": "teaches nothing"}]
    taken = [{"study": "before", "configs": 0, "left_out": 12}]
    service.add(make_study(advice=advice, warm_start=taken, replicates={"max": 3, "top": 5}))

    shown = cli("study", "show", "digits").stdout

    assert "advice:     warm_start[0]: teaches nothing\n" in shown
    assert "warm_start:\n- study: before\n" in shown
    assert "replicates:\n  max: 3\n" in shown


def test_create_with_another_name_from_stdin(service: Any, cli: Any, make_study: Make) -> None:
    service.routes[f"POST {API}/studies"] = lambda request: (201, make_study(request.body["name"]))

    result = cli("study", "create", "-f", "-", "--name", "other", "--json", stdin="name: digits\n")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["name"] == "other"


@pytest.mark.parametrize(
    ("state", "code"),
    [("completed", ExitCode.OK), ("failed", ExitCode.STUDY_FAILED), ("cancelled", ExitCode.STUDY_FAILED)],
)
def test_create_and_wait(service: Any, cli: Any, study_file: Path, make_study: Make, state: str, code: int) -> None:
    service.add(make_study(state=state))
    service.routes[f"POST {API}/studies"] = (201, make_study(state="active"))

    result = cli("study", "create", "-f", str(study_file), "--wait")

    assert (result.exit_code, result.stdout) == (code, "digits\n")
    assert (
        f"digits: {state}, 4 of 4 runs, 1 failed, best val_accuracy 0.97222 (epochs 9, trial 1, run 2)" in result.stderr
    )


def test_every_problem_is_printed_with_its_place(service: Any, cli: Any, study_file: Path, make_problem: Make) -> None:
    found = [
        {"path": "space.parameters[0].low", "pointer": "/space/parameters/0/low", "message": "must be below high"},
        {"path": "objective", "pointer": "/objective", "message": "is missing"},
    ]
    service.routes[f"POST {API}/studies"] = (422, make_problem(422, "Invalid", "2 problems", found))

    result = cli("study", "create", "-f", str(study_file))

    assert (result.exit_code, result.stdout) == (ExitCode.INVALID, "")
    assert result.stderr.splitlines() == [
        f"{study_file}:4:36: space.parameters[0].low: must be below high",
        f"{study_file}: objective: is missing",
    ]


def test_a_file_that_is_no_yaml_never_reaches_the_service(service: Any, cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [a\nb: c\n")

    result = cli("study", "create", "-f", str(path))

    assert (result.exit_code, service.requests) == (ExitCode.INVALID, [])
    assert result.stderr.startswith(f"{path}:2:2: is not YAML")


# --- exit codes


def test_exit_codes_of_refusals(service: Any, cli: Any, study_file: Path, make_problem: Make) -> None:
    service.routes |= {
        f"POST {API}/studies": (409, make_problem(409, "The name is taken", "a study named 'digits' exists")),
        f"POST {API}/studies/digits/resume": (409, make_problem(409, "Not allowed", "it is completed")),
        f"GET {API}/studies/broken": (500, make_problem(500, "The service failed", "see incident 1")),
        f"GET {API}/studies/html": (200, "<html>"),
    }
    table = [
        (("study", "create", "-f", str(study_file)), ExitCode.CONFLICT, "a study named 'digits' exists\n"),
        (("study", "resume", "digits"), ExitCode.CONFLICT, "it is completed\n"),
        (("study", "show", "nothing"), ExitCode.NOT_FOUND, "Not found (404)\n"),
        (("best", "nothing"), ExitCode.NOT_FOUND, "Not found (404)\n"),
        (("study", "show", "broken"), ExitCode.ERROR, "see incident 1\n"),
    ]
    for args, code, message in table:
        result = cli(*args)
        assert (result.exit_code, result.stdout, result.stderr) == (code, "", message), args
    assert cli("study", "show", "html").exit_code == ExitCode.ERROR


@pytest.mark.parametrize(
    "args",
    [
        ("study", "create"),
        ("study", "create", "-f", "/nowhere/study.yaml"),
        ("study", "shw"),
        ("best", "digits", "--format", "toml"),
        ("trials", "digits", "--limit", "0"),
        ("trials", "digits", "--state", "sleeping"),
        ("up", "--pool", "slurm"),
        ("up", "--port", "70000"),
    ],
)
def test_wrong_usage(cli: Any, args: tuple[str, ...]) -> None:
    result = cli(*args)

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")


def test_nobody_at_the_address(cli: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for args in (("--url", url, "study", "list"), ("study", "list", "--url", url)):
            result = cli(*args)
            assert (result.exit_code, result.stdout) == (ExitCode.UNREACHABLE, "")
            assert f"cannot reach {url}" in result.stderr
            assert "assay up" in result.stderr


def test_the_exit_codes_are_documented(cli: Any) -> None:
    assert set(MEANINGS) == set(ExitCode)
    shown = cli("--help").stdout
    documented = DOCS.read_text()
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in shown
        assert f"| {code.value} | {meaning} |" in documented


def test_every_command_is_documented(cli: Any) -> None:
    commands = set(_commands(get_command(app), ()))
    table = DOCS.read_text().partition("## Commands")[2].partition("\n### ")[0]
    listed: set[tuple[str, ...]] = set()
    for row in table.splitlines():
        group: tuple[str, ...] = ()
        for span in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
            words = tuple(span.split())
            if words[0] != "assay":  # another command of the same group
                listed.add((*group, words[0]))
                continue
            group = () if words[1:2] in commands else words[1:2]
            listed.add(words[1 : len(group) + 2])

    assert sorted(commands ^ listed) == []
    for command in commands:
        assert cli(*command, "--help").exit_code == 0


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All commands that do something, by their words."""
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from _commands(each, (*path, name))
    else:
        yield path


# --- looking


def test_list(service: Any, cli: Any, make_study: Make) -> None:
    studies = [make_study("a" * 100), make_study("b", best=None, state="active")]
    service.routes[f"GET {API}/studies"] = (200, {"items": studies, "next": None})

    lines = cli("study", "list").stdout.splitlines()

    assert lines[0].split() == ["name", "state", "algorithm", "runs", "best", "created"]
    assert lines[1].split()[:3] == ["a" * 100, "completed", "hyperband"], "nothing is cut off where no terminal is"
    assert json.loads(cli("study", "list", "--json").stdout) == studies


def test_show(service: Any, cli: Any, make_study: Make) -> None:
    study = make_study(waiting="no worker is free")
    service.add(study)

    text = cli("study", "show", "digits").stdout

    assert "state:      completed (budget)" in text
    assert "best:       val_accuracy 0.97222 (epochs 9, trial 1, run 2)" in text
    assert "lr=0.01 nesterov=true optimizer=sgd" in text
    assert "test:       test_accuracy=0.96 (trial 1)" in text
    assert "waiting:    no worker is free" in text
    assert json.loads(cli("study", "show", "digits", "--json").stdout) == study


def test_trials(service: Any, cli: Any, make_study: Make) -> None:
    trials = [
        {
            "number": number,
            "state": "failed" if number else "succeeded",
            "config": {"lr": 0.5, "note": "[b]bold"},
            "fidelity": 9,
            "metrics": None if number else {"train_loss": 0.1, "val_accuracy": 0.97},
            "runs": [number],
            "failure": {"class": "diverged", "message": "loss is nan"} if number else None,
            "origin": {},
            "invalidated": {"reason": "too early", "by": "ada"} if number == 2 else None,
            "created_at": "2030-01-01T00:00:00Z",
            "finished_at": None,
        }
        for number in range(3)
    ]
    service.add(make_study())
    service.routes[f"GET {API}/studies/digits/trials"] = (200, {"items": trials, "next": None})

    header, first, second = cli("trials", "digits", "--limit", "2").stdout.splitlines()

    assert header.split() == ["trial", "state", "epochs", "runs", "metrics", "config", "failure"]
    assert first.split() == ["0", "succeeded", "9", "1", "val_accuracy=0.97", "lr=0.5", "note=[b]bold"]
    assert second.rstrip().endswith("diverged: loss is nan")
    assert cli("trials", "digits").stdout.splitlines()[3].rstrip().endswith("too early")
    assert json.loads(cli("trials", "digits", "--json").stdout) == trials
    cli("trials", "digits", "--state", "failed")
    assert service.requests[-1].query["state"] == "failed"


def test_front(service: Any, cli: Any, make_study: Make) -> None:
    metrics = [{"name": "error", "direction": "minimize"}, {"name": "parameters", "direction": "minimize"}]
    study = make_study(metrics=metrics)
    firm = {**study["best"], "metrics": {"error": 0.25, "parameters": 9000, "other": 1.0}, "results": 3}
    weak = {**study["best"], "trial": 4, "metrics": {"error": 0.5, "parameters": 10}, "confirmed": False}
    front = {"items": [firm, {**weak, "feasible": False}], "hypervolume": 0.5}
    service.routes |= {f"GET {API}/studies/digits": (200, study), f"GET {API}/studies/digits/front": (200, front)}

    header, first, second = cli("front", "digits").stdout.splitlines()
    assert header.split() == ["trial", "run", "epochs", "metrics", "config", "remarks"]
    assert "error=0.25 parameters=9000  " in first
    assert first.endswith("mean of 3 runs")
    assert second.startswith("4 ")
    assert second.endswith("not confirmed yet, breaks a constraint")
    assert json.loads(cli("front", "digits", "--json").stdout) == front


def test_best(service: Any, cli: Any, make_study: Make) -> None:
    best = {**make_study()["best"], "study": "digits", "test": None}
    service.routes[f"GET {API}/studies/digits/best"] = (200, best)

    assert json.loads(cli("best", "digits", "--format", "json").stdout) == best
    assert parse(cli("best", "digits").stdout.encode(), "best").study == best
    assert cli("best", "digits", "--format", "env").stdout == "LR=0.01\nNESTEROV=true\nOPTIMIZER=sgd\n"
    assert cli("best", "digits", "--format", "env", "--prefix", "HP_").stdout.startswith("HP_LR=0.01\n")
    assert cli("best", "digits", "--format", "env", "--prefix", "1").exit_code == ExitCode.ERROR


def test_verbs_say_what_became_of_the_study(service: Any, cli: Any, make_study: Make) -> None:
    service.routes[f"POST {API}/studies/digits/pause"] = (200, make_study(state="paused"))

    result = cli("study", "pause", "digits")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "digits is paused\n")


def test_watch_prints_a_line_per_change(service: Any, cli: Any, make_study: Make) -> None:
    counts = make_study()["counts"]
    start = make_study(state="active", best=None, counts={**counts, "succeeded": 0, "failed": 0, "running": 2})
    service.add(start)

    def events(request: Any) -> None:
        assert request.headers["Last-Event-ID"] == "7", "what the first answer told is not asked for again"
        service.routes[f"GET {API}/studies/digits"] = (200, make_study(state="cancelled"))
        report = b'event: report\ndata: {"run": 0, "step": 1, "metrics": {}}\n\n'
        request.stream(report, b"id: 8\nevent: study.cancelled\ndata: {}\n\n", b"event: end\ndata: {}\n\n")

    service.routes[f"GET {API}/studies/digits/events"] = events

    result = cli("watch", "digits")

    assert result.exit_code == ExitCode.STUDY_FAILED
    assert result.stdout.splitlines() == [
        "digits: active, 0 of 4 runs, 2 running",
        "digits: cancelled, 4 of 4 runs, 1 failed, best val_accuracy 0.97222 (epochs 9, trial 1, run 2)",
    ]


# --- as processes


def test_ctrl_c_while_watching(service: Any, make_study: Make) -> None:
    service.add(make_study(state="active"))
    command = [sys.executable, "-m", "assay", "--url", service.url, "watch", "digits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("digits: active")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in errors


def test_up_says_how_to_install_the_server(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "assay", "up", "--data-dir", str(tmp_path)]

    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (ExitCode.ERROR, "")
    assert "uvicorn is missing" in result.stderr
    assert "pip install" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("level", "message"), [("info", "cannot listen on"), ("loud", "ASSAY_LOG_LEVEL: ")])
def test_up_says_why_it_cannot_start(tmp_path: Path, level: str, message: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {**os.environ, "ASSAY_PORT": str(taken.getsockname()[1]), "ASSAY_LOG_LEVEL": level}
        command = [sys.executable, "-m", "assay", "up", "--pool", "local", "--data-dir", str(tmp_path)]
        result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (ExitCode.ERROR, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
