"""`assay demo` from nothing and back to nothing, as a user starts it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

pytestmark = pytest.mark.slow

STUDY = """
name: branin
space:
  parameters:
    - {name: x0, type: float, low: -5, high: 10}
    - {name: x1, type: float, low: 0, high: 15}
objective: {type: function, function: branin}
metrics: [{name: loss, direction: minimize}]
algorithm: {name: random}
budget: {max_runs: 12}
parallelism: 2
seed: 0
"""
ENDLESS = STUDY.replace("max_runs: 12", "max_runs: 1000000")


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a demo of the study; one that a failed test has left is ended."""
    demos: list[subprocess.Popen[str]] = []

    def start(study: str, *options: str, pool: str = "local") -> subprocess.Popen[str]:
        (tmp_path / "study.yaml").write_text(study)
        command = [sys.executable, "-m", "assay", "demo", "study.yaml", "--pool", pool, "--workers", "2", *options]
        demos.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.poll() is None:
            demo.terminate()
            demo.communicate()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A zombie has ended; that it was not collected yet is its adopter's affair."""
    running = []
    for process in psutil.wait_procs(processes, timeout=2)[1]:  # a signal takes its moment to arrive
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Reads the demo's progress up to a line that contains the text."""
    assert process.stderr
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return line
    raise AssertionError(f"the demo ended without {text!r}:\n{seen}")


@pytest.mark.parametrize("pool", ["local", "ray"])
def test_the_demo_shows_what_it_found_and_leaves_nothing_behind(start: Start, tmp_path: Path, pool: str) -> None:
    process = start(STUDY, "--exit", pool=pool)
    read_until(process, "best loss")  # by then every process has been started
    started = family(process)
    output, progress = process.communicate(timeout=120)

    assert process.returncode == 0, progress
    assert "study branin: completed" in output
    assert "12 of 12 runs" in output
    assert "how the best improved" in output
    assert "best: loss " in output
    assert "  x0: " in output
    assert "  x1: " in output
    assert "dashboard: http://127.0.0.1:" in output
    assert (tmp_path / "assay-data" / "demo-1" / "service.log").is_file()
    assert started, "the service is a process of its own"
    assert alive(started) == []


def test_the_demo_serves_on_the_next_free_port_until_ctrl_c(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(STUDY, "--port-from", str(port))
        ready = read_until(process, "the service is ready")
        url = ready.split("ready: ")[1].split()[0]
        read_until(process, "serving until Ctrl-C")

        assert int(url.rpartition(":")[2]) > port
        assert httpx.get(f"{url}/api/v1/studies/branin", trust_env=False).json()["state"] == "completed"

        started = family(process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "best: loss " in output
    assert alive(started) == []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_takes_the_service_down(start: Start, signum: int, code: int) -> None:
    process = start(ENDLESS)
    read_until(process, "branin: active")
    started = family(process)
    process.send_signal(signum)
    _, progress = process.communicate(timeout=60)

    assert process.returncode == code
    assert "Traceback" not in progress
    assert alive(started) == []


def test_a_demo_whose_service_is_killed_says_so(start: Start) -> None:
    process = start(STUDY)
    read_until(process, "serving until Ctrl-C")
    (service,) = [child for child in family(process) if "up" in child.cmdline()]
    service.kill()
    _, progress = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "the service ended by itself" in progress
    assert "service.log" in progress


def test_an_invalid_study_is_explained_and_the_service_taken_down(start: Start) -> None:
    process = start(STUDY.replace("low: 0", "low: 20"), "--exit")
    _, progress = process.communicate(timeout=120)

    assert process.returncode == 3, progress
    assert "study.yaml:6:" in progress
    assert "space.parameters[1]" in progress


def test_a_data_directory_that_cannot_be_made(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = start(STUDY, "--data-dir", "file/below")
    _, progress = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "cannot make a data directory" in progress
    assert "Traceback" not in progress
