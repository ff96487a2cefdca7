"""A whole service in its own process, as `assay up` starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest


class Service:
    """`assay up` on a free port. `kill` is -9 of it alone: no handler runs, and its workers notice by themselves."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30)

    def start(self) -> Service:
        command = [sys.executable, "-m", "assay", "up", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self.wait_for(lambda: httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200, "the service is ready")
        return self

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while True:
            assert self.process is not None
            assert self.process.poll() is None, f"the service ended:\n{self.log.read_text()[-3000:]}"
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def create(self, study: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post("/studies", json=study)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def study(self, name: str) -> dict[str, Any]:
        return self.http.get(f"/studies/{name}").json()

    def items(self, path: str) -> list[dict[str, Any]]:
        """Everything behind a paged address."""
        items: list[dict[str, Any]] = []
        after: Any = None
        while True:
            page = self.http.get(path, params={"limit": 1000, **({"after": after} if after else {})}).json()
            items += page["items"]
            after = page["next"]
            if after is None:
                return items

    def wait_until_finished(self, name: str, seconds: float = 180) -> dict[str, Any]:
        final = ("completed", "failed", "cancelled")
        self.wait_for(lambda: self.study(name)["state"] in final, f"study {name} ends", seconds)
        return self.study(name)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ctrl-C; answers the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise
        return self.process.returncode


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _services(directory: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*options: str, data_dir: str = "data") -> Service:
        service = Service(directory / data_dir, *options)
        started.append(service)
        return service.start()

    try:
        yield start
    finally:
        for service in started:
            service.stop()
            service.http.close()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services that are stopped at the end of the test. `start_service("--pool", "local")`."""
    with _services(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Starts services that are stopped after the last test of a module."""
    with _services(tmp_path_factory.mktemp("service")) as start:
        yield start


@pytest.fixture(scope="module")
def ray_service(start_services: Callable[..., Service]) -> Service:
    """One service with two workers on Ray, for all tests of a module."""
    return start_services("--workers", "2")
