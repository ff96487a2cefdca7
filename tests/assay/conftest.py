"""A small real HTTP server that answers as told, and studies as they are on the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Answer = tuple[int, Any] | Callable[["Request"], tuple[int, Any] | None]
API = "/api/v1"


class Request:
    """A request as the server saw it; a route that streams writes to `send` and answers None."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        self.method = handler.command
        self.path = urlsplit(handler.path).path
        self.query = {key: values[-1] for key, values in parse_qs(urlsplit(handler.path).query).items()}
        self.headers = handler.headers
        self.body = body
        self._handler = handler

    def stream(self, *chunks: bytes) -> None:
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.send_header("Connection", "close")
        self._handler.end_headers()
        for chunk in chunks:
            self._handler.wfile.write(chunk)


class Service:
    """`routes` maps "GET /api/v1/..." to (status, JSON) or to a function of the request; unknown paths are a 404."""

    def __init__(self, port: int = 0) -> None:
        self.routes: dict[str, Answer] = {}
        self.requests: list[Request] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(self, json.loads(self.rfile.read(length)) if length else None)
                service.requests.append(request)
                route = service.routes.get(f"{request.method} {request.path}", (404, problem(404, "Not found")))
                result = route(request) if callable(route) else route
                if result is None:
                    return
                status, body = result
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/problem+json" if status >= 400 else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 (http.server finds methods by these names)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def add(self, study: dict[str, Any]) -> None:
        """Makes the study known, as a study that has nothing but itself."""
        base = f"GET {API}/studies/{study['name']}"
        self.routes[base] = (200, study)
        self.routes[f"{base}/runs"] = self.routes[f"{base}/trials"] = (200, {"items": [], "next": None})
        self.routes[f"{base}/events"] = lambda request: request.stream()

    def again(self) -> Service:
        """A service at the same address, after this one was closed."""
        return Service(self.server.server_port)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


def problem(status: int, title: str, detail: str = "", errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors or []}


@pytest.fixture
def make_problem() -> Callable[..., dict[str, Any]]:
    return problem


@pytest.fixture
def make_study() -> Callable[..., dict[str, Any]]:
    def make(name: str = "digits", **changes: Any) -> dict[str, Any]:
        best = {
            "trial": 1,
            "run": 2,
            "fidelity": 9,
            "metrics": {"val_accuracy": 0.9722222},
            "config": {"lr": 0.01, "nesterov": True, "optimizer": "sgd"},
            "results": 1,
            "confirmed": True,
            "feasible": True,
            "schedule": [],
        }
        study = {
            "id": "1",
            "name": name,
            "state": "completed",
            "reason": "budget",
            "space": {"parameters": [], "fidelity": {"name": "epochs", "low": 1, "high": 9}},
            "objective": {"type": "train", "family": "lenet", "dataset": "digits"},
            "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
            "algorithm": {"name": "hyperband", "eta": 3},
            "budget": {"max_runs": 4},
            "parallelism": 2,
            "resources": {"cpus": 1, "gpus": 0},
            "priority": 0,
            "seed": 0,
            "replicates": None,
            "warm_start": [],
            "advice": [],
            "created_at": "2030-01-01T00:00:00Z",
            "started_at": "2030-01-01T00:00:00Z",
            "finished_at": None,
            "counts": {
                "trials": 2, "pending": 0, "running": 0, "succeeded": 3, "failed": 1, "stopped": 0, "cancelled": 0,
            },
            "spent": {"runs": 4, "trials": 2, "fidelity": 21.0, "seconds": 65.2},
            "waiting": None,
            "best": best,
            "test": {"run": 2, "trial": 1, "metrics": {"test_accuracy": 0.96}},
            "last_event": 7,
        }  # fmt: skip
        return {**study, **changes}

    return make
