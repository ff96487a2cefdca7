"""The one seam to the network: a request in, JSON or an `AssayError` out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from assay.errors import AssayError, Conflict, ConnectionFailed, FieldProblem, Invalid, NotFound, ProblemError
from assay.errors import UnexpectedAnswer as Unexpected

API = "api/v1/"

_ERRORS: Mapping[int, type[ProblemError]] = {400: Invalid, 404: NotFound, 409: Conflict, 413: Invalid, 422: Invalid}
_PAUSES = (0.1, 0.4)  # seconds before the second and the third try
_SILENCE = 60.0  # seconds; the service sends a keep-alive four times as often


class Connection:
    """A pool of connections to one service. May be shared by threads."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/") + "/"
        # A proxy from the environment is meant for the world, never for this machine.
        direct = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
        try:
            self._client = httpx.Client(base_url=self.url, timeout=timeout, mounts=direct)
            scheme, host = self._client.base_url.scheme, self._client.base_url.host
        except httpx.InvalidURL as error:
            raise ConnectionFailed(f"{url!r} is not an address: {error}") from error
        if scheme not in ("http", "https") or not host:
            raise ConnectionFailed(f"{url!r} is not an address like http://127.0.0.1:8080")

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Reading is safe to repeat, so a broken connection is tried again, twice."""
        for pause in _PAUSES:
            try:
                return self._request("GET", path, params=params)
            except ConnectionFailed as error:
                if isinstance(error.__cause__, httpx.TimeoutException):
                    raise
                time.sleep(pause)
        return self._request("GET", path, params=params)

    def post(self, path: str, body: Any = None) -> Any:
        return self._request("POST", path, body=body)

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of an open-ended answer as they arrive."""
        timeout = httpx.Timeout(self._client.timeout.connect, read=_SILENCE)
        with (
            self._failures(),
            self._client.stream(
                method, path, headers={"Accept": "text/event-stream", **(headers or {})}, timeout=timeout
            ) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
                raise self._refusal(answer)
            yield answer.iter_bytes()

    def close(self) -> None:
        self._client.close()

    def _request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        known = {name: value for name, value in (params or {}).items() if value is not None}
        # Written here because httpx writes JSON that UTF-8 cannot always carry; as ASCII it always arrives.
        content = None if body is None else json.dumps(body, allow_nan=False)
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._failures():
            answer = self._client.request(method, path, params=known, content=content, headers=headers)
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise self._stranger(answer) from error

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise ConnectionFailed(f"{self.url} did not answer in time") from error
        except (httpx.TransportError, httpx.StreamError) as error:
            raise ConnectionFailed(f"cannot reach {self.url}: {error or type(error).__name__}") from error

    def _refusal(self, answer: httpx.Response) -> AssayError:
        """The error that a problem document stands for."""
        try:
            problem = answer.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "title" not in problem:
            return self._stranger(answer)
        errors = [
            FieldProblem(str(item.get("path", "")), str(item.get("pointer", "")), str(item.get("message", "")))
            for item in problem.get("errors") or ()
        ]
        kind = _ERRORS.get(answer.status_code, ProblemError)
        return kind(answer.status_code, str(problem["title"]), str(problem.get("detail") or ""), errors)

    def _stranger(self, answer: httpx.Response) -> AssayError:
        return Unexpected(
            f"{answer.url} answered {answer.status_code} {answer.reason_phrase}, but not as Assay does: "
            "is this the address of the service?"
        )
