"""The one seam to the network: a request in, JSON or an `AssayError` out."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

import httpx

from assay.errors import (
    AssayError,
    Conflict,
    ConnectionFailed,
    FieldProblem,
    Forbidden,
    Invalid,
    NotFound,
    ProblemError,
    StaleAttempt,
    Unauthorized,
)
from assay.errors import UnexpectedAnswer as Unexpected

T = TypeVar("T")

API = "api/v1/"
PAGE = 200  # items
STALE = "urn:assay:stale-attempt"

_ERRORS: Mapping[int, type[ProblemError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    422: Invalid,
}
_PAUSES = (0.1, 0.4)  # seconds before the second and the third try
_SILENCE = 60.0  # seconds; the service sends a keep-alive four times as often
_DIGESTION = 1800.0  # seconds; a large upload is read as a whole before it is answered


class Connection:
    """A pool of connections to one service. May be shared by threads."""

    def __init__(self, url: str, timeout: float, token: str | None = None, project: str | None = None) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/") + "/"
        # A proxy from the environment is meant for the world, never for this machine.
        direct = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
        try:
            self._client = httpx.Client(
                base_url=self.url, timeout=timeout, mounts=direct, headers=_identity(token, project)
            )
            scheme, host = self._client.base_url.scheme, self._client.base_url.host
        except httpx.InvalidURL as error:
            raise ConnectionFailed(f"{url!r} is not an address: {error}") from error
        if scheme not in ("http", "https") or not host:
            raise ConnectionFailed(f"{url!r} is not an address like http://127.0.0.1:8080")

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Reading is safe to repeat, so a broken connection is tried again, twice."""
        return _again(lambda: self._request("GET", path, params=params))

    def text(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """An answer that is text and no JSON."""
        known = {name: value for name, value in (params or {}).items() if value is not None}
        with self._failures():
            answer = self._client.get(path, params=known)
        if not answer.is_success:
            raise self._refusal(answer)
        return answer.content.decode(errors="replace")

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """The items of a long list; the next page is asked for when this one is used up."""
        after = params.pop("after", None)
        while True:
            page = self.get(path, {**params, "limit": PAGE, "after": after})
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def post(self, path: str, body: Any = None) -> Any:
        return self._request("POST", path, body=body)

    def post_once(self, path: str, body: Any) -> Any:
        """What must not be done twice carries a key, by which the service knows it again: it is safe to repeat."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return _again(lambda: self._request("POST", path, body=body, headers=key))

    def put(self, path: str, body: Any) -> Any:
        return self._request("PUT", path, body=body)

    def patch(self, path: str, body: Any) -> Any:
        return self._request("PATCH", path, body=body)

    def delete(self, path: str) -> Any:
        return self._request("DELETE", path)

    def upload(self, path: str, file: Path, params: Mapping[str, Any], *, method: str = "POST") -> Any:
        """Sends a file as the body, with its checksum. What becomes of it may take the service minutes to say."""
        with file.open("rb") as content:
            digest = base64.b64encode(hashlib.file_digest(content, "sha256").digest()).decode()
            content.seek(0)
            headers = {"Content-Type": "application/octet-stream", "Content-Digest": f"sha-256=:{digest}:"}
            timeout = httpx.Timeout(self._client.timeout.connect, read=_DIGESTION, write=_SILENCE)
            known = {name: value for name, value in params.items() if value is not None}
            with self._failures():
                answer = self._client.request(
                    method, path, params=known, content=content, headers=headers, timeout=timeout
                )
        if not answer.is_success:
            raise self._refusal(answer)
        return answer.json()

    def download(self, path: str, target: Path) -> None:
        """Fetches a file: all of it, or `target` is as it was. One that breaks off is taken up where it broke, twice.

        Raises `ConnectionFailed` when it breaks off again, or when another file arrived than the service has, and
        `AssayError` when the file cannot be written.
        """
        try:
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".assay-", delete=False) as file:
                part = Path(file.name)
                try:
                    tag = self._fetch(path, file)
                    file.close()
                    with part.open("rb") as content:
                        if tag and hashlib.file_digest(content, "sha256").hexdigest() != tag.strip('"'):
                            raise ConnectionFailed(f"what {self.url} sent is damaged: try again")
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise AssayError(f"cannot write {target}: {error.strerror}") from error

    def _fetch(self, path: str, file: IO[bytes]) -> str | None:
        """Answers the file's tag, which is its SHA-256."""
        tag: str | None = None
        for pause in (*_PAUSES, None):
            try:
                rest = {"Range": f"bytes={file.tell()}-", "If-Range": tag} if tag and file.tell() else {}
                with self._failures(), self._client.stream("GET", path, headers=rest) as answer:
                    if not answer.is_success:
                        answer.read()
                        raise self._refusal(answer)
                    if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                        file.seek(0)
                        file.truncate()
                    tag = answer.headers.get("ETag")
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
                return tag
            except ConnectionFailed:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

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

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        known = {name: value for name, value in (params or {}).items() if value is not None}
        # Written here because httpx writes JSON that UTF-8 cannot always carry; as ASCII it always arrives.
        content = None if body is None else json.dumps(body, allow_nan=False)
        kind = {} if body is None else {"Content-Type": "application/json"}
        with self._failures():
            answer = self._client.request(
                method, path, params=known, content=content, headers={**kind, **(headers or {})}
            )
        if not answer.is_success:
            raise self._refusal(answer)
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
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
        kind = StaleAttempt if problem.get("type") == STALE else _ERRORS.get(answer.status_code, ProblemError)
        after = answer.headers.get("Retry-After", "")
        detail, retry_after = str(problem.get("detail") or ""), float(after) if after.isdecimal() else None
        error = kind(answer.status_code, str(problem["title"]), detail, errors, retry_after)
        if isinstance(error, StaleAttempt):
            error.current = problem.get("current") or {}
        return error

    def _stranger(self, answer: httpx.Response) -> AssayError:
        return Unexpected(
            f"{answer.url} answered {answer.status_code} {answer.reason_phrase}, but not as Assay does: "
            "is this the address of the service?"
        )


def study_path(name: str, *rest: str | int) -> str:
    """The path of a study, or of something in it."""
    return API + "/".join(["studies", quote(name, safe=""), *map(str, rest)])


def _again(request: Callable[[], T]) -> T:
    """Asks up to three times, as long as connections break; an answer that takes too long is not waited for again."""
    for pause in _PAUSES:
        try:
            return request()
        except ConnectionFailed as error:
            if isinstance(error.__cause__, httpx.TimeoutException):
                raise
            time.sleep(pause)
    return request()


def _identity(token: str | None, project: str | None) -> dict[str, str]:
    """The headers that say who asks and for which project."""
    headers: dict[str, str] = {}
    for name, what, value in (("Authorization", "token", token), ("Assay-Project", "project", project)):
        if value is not None:
            value = value.strip()
            if not (value.isascii() and value.isprintable()):
                raise Unauthorized(401, f"that is no {what}: it has characters that none has")
            headers[name] = f"Bearer {value}" if what == "token" else value
    return headers
