"""Whole services, looked at from outside: what they say at the start, their metrics, several processes for the API."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow


class Service:
    """`assay up` in a process of its own, with its log."""

    def __init__(self, log: Path, *options: str, **environment: str) -> None:
        self.log = log
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "assay", "up", *options],
                env={**clean, **environment},
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
            )

    def wait_for(self, condition: Callable[[], object], seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def begin(*options: str, **environment: str) -> Service:
        service = Service(tmp_path / f"{len(started)}.log", *options, ASSAY_DATA_DIR=f"{tmp_path}/data", **environment)
        started.append(service)
        return service

    yield begin
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def total(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_several_processes_answer_on_one_port(
    start: Callable[..., Service], new_database_url: Callable[[str], str]
) -> None:
    port, metrics_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    service = start(
        *("--only", "api", "--api-workers", "2", "--port", str(port)),
        ASSAY_DATABASE_URL=new_database_url("postgresql"),
        ASSAY_METRICS_PORT=str(metrics_port),
    )
    service.wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    parent = psutil.Process(service.process.pid)
    service.wait_for(lambda: service.log.read_text().count("answers requests") == 2)

    # A burst of connections, each held open, spreads over the processes.
    clients = [httpx.Client(base_url=url, timeout=30) for _ in range(32)]
    with ThreadPoolExecutor(32) as threads:
        for _ in range(5):
            assert {answer.status_code for answer in threads.map(lambda one: one.get("/api/v1/studies"), clients)} == {
                200
            }
    shares = [sum(one.status == "ESTABLISHED" for one in child.net_connections()) for child in workers(parent)]
    for client in clients:
        client.close()
    assert min(shares) >= 2, shares
    for address in (f"{url}/metrics", f"http://127.0.0.1:{metrics_port}/metrics"):
        told = {total(httpx.get(address).text, "assay_http_requests_total", route="/api/v1/studies") for _ in range(6)}
        assert told == {160}, "whichever process answers, it answers for all"

    # One that dies is replaced, and what it counted stays.
    victim = workers(parent)[0]
    victim.kill()
    service.wait_for(lambda: victim.pid not in [one.pid for one in workers(parent)] and len(workers(parent)) == 2)
    service.wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    assert total(httpx.get(f"{url}/metrics").text, "assay_http_requests_total", route="/api/v1/studies") == 160
    assert "another one starts" in service.log.read_text()

    children = workers(parent)
    assert service.end() == 0
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in service.log.read_text()


def test_processes_do_not_outlive_a_killed_parent(
    start: Callable[..., Service], new_database_url: Callable[[str], str]
) -> None:
    port = free_port()
    service = start(
        *("--only", "api", "--api-workers", "2", "--port", str(port)), ASSAY_DATABASE_URL=new_database_url("postgresql")
    )
    parent = psutil.Process(service.process.pid)
    service.wait_for(
        lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200 and len(workers(parent)) == 2
    )
    children = workers(parent)
    parent.kill()
    service.process.wait()

    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_dispatcher_has_metrics_of_its_own(start: Callable[..., Service]) -> None:
    port = free_port()
    service = start("--only", "dispatcher", "--pool", "local", "--workers", "2", ASSAY_METRICS_PORT=str(port))
    address = f"http://127.0.0.1:{port}/metrics"
    service.wait_for(lambda: total(httpx.get(address).text, "assay_pool_free_workers") == 2)

    text = httpx.get(address).text
    assert total(text, "assay_info", role="dispatcher") == 1
    assert total(text, "assay_database_up") == 1
    assert service.end() == 0


def test_the_start_says_once_what_is_served(start: Callable[..., Service], tmp_path: Path) -> None:
    port = free_port()
    service = start(
        *("--port", str(port), "--pool", "local"),
        ASSAY_AUTH="on",
        ASSAY_ADMIN_TOKEN="correct-horse-battery-staple",
        ASSAY_LOG_FORMAT="json",
        ASSAY_ACCESS_LOG="info",
    )
    service.wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200)
    refused = httpx.get(f"http://127.0.0.1:{port}/metrics")
    token = {"Authorization": "Bearer correct-horse-battery-staple"}
    allowed = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=token)
    assert service.end() == 0

    log = service.log.read_text()
    assert log.count(f"serving on http://127.0.0.1:{port} (requests need a token)") == 1
    assert f"database sqlite:///{tmp_path}/data/assay.db" in log
    assert all(line.startswith('{"time": "') for line in log.splitlines()), log
    assert '"route": "/readyz"' in log
    assert "correct-horse" not in log
    assert (refused.status_code, allowed.status_code) == (401, 200)


def test_everything_that_is_in_the_way_is_said_at_once(start: Callable[..., Service], tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
        service = start("--port", str(ports[0]), ASSAY_METRICS_PORT=str(ports[1]))
        assert service.process.wait(60) == 1

    lines = service.log.read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"cannot make the data directory {tmp_path}/data")
    assert lines[1].startswith(f"cannot listen on 127.0.0.1:{ports[0]}")
    assert lines[2].startswith(f"cannot listen on 127.0.0.1:{ports[1]}")


def test_beyond_this_machine_it_does_not_start_without_auth(start: Callable[..., Service]) -> None:
    service = start("--host", "0.0.0.0", ASSAY_AUTH="off", ASSAY_WORKERS="none")

    assert service.process.wait(60) == 1
    lines = service.log.read_text().splitlines()
    assert lines[0].startswith("ASSAY_WORKERS: must be an integer")
    assert lines[1].startswith("ASSAY_AUTH: off is refused on 0.0.0.0")


def workers(parent: psutil.Process) -> list[psutil.Process]:
    """The processes that answer requests, without Python's own helper and those that have just ended."""
    found = []
    for child in parent.children():
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_a_signal_ends_it_while_it_starts(start: Callable[..., Service]) -> None:
    service = start("--port", str(free_port()), "--pool", "local")
    service.wait_for(lambda: "serving on" in service.log.read_text())
    service.process.send_signal(signal.SIGINT)

    assert service.process.wait(60) == 0
