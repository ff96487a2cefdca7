"""What can go wrong for a client of Assay.

AssayError
├── ConnectionFailed      no answer: nobody listens there, or the connection broke or timed out
├── UnexpectedAnswer      an answer, but not one that Assay gives: wrong address, or a proxy in between
├── ProblemError          the service refused (RFC 9457): status, title, detail and the errors field by field
│   ├── Invalid           400, 413, 422: the input is wrong
│   ├── Unauthorized      401: a token is needed, or this one is not good
│   ├── Forbidden         403: the token does not allow it
│   ├── NotFound          404
│   └── Conflict          409: the name is taken, or the study's state does not allow it
│       └── StaleAttempt  the attempt at a run has been given up, or is over
├── SignatureInvalid      a webhook's request that the service did not send, or not just now
├── StudyFileInvalid      a study file that is not a study: where (file, line, column) and why
└── WaitTimeout           the study did not end in time (also a TimeoutError)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


class AssayError(Exception):
    """Base of all errors that this package raises on purpose; its text is written for the user."""


class ConnectionFailed(AssayError):
    """The service could not be reached, or stopped answering."""


class UnexpectedAnswer(AssayError):
    """Something answered, but it does not speak Assay's API."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong with a field of the input.

    `path` is written as people do (`space.parameters[1].low`), `pointer` is the same as a JSON Pointer (RFC 6901);
    both are empty when the problem is with the whole.
    """

    path: str
    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ProblemError(AssayError):
    """The service answered with a problem document; `retry_after` are seconds, where it says to try again."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        errors: Sequence[FieldProblem] = (),
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        super().__init__(detail or f"{title} ({status})")


class Invalid(ProblemError):
    """The input is wrong (400, 413 or 422); `errors` names every field."""

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors)) or super().__str__()


class Unauthorized(ProblemError):
    """The service needs a token, or does not know this one, or it has expired (401)."""


class Forbidden(ProblemError):
    """The token is good, but not for this (403)."""


class NotFound(ProblemError):
    """There is no such thing (404)."""


class Conflict(ProblemError):
    """The name is taken, or the state does not allow it (409)."""


class StaleAttempt(Conflict):
    """The token's attempt at a run has been given up, or is over (409); `current` is what stands now.

    What was said is kept with the attempt, and counts for nothing.
    """

    current: Mapping[str, Any] = MappingProxyType({})


class SignatureInvalid(AssayError):
    """A webhook's request that the service did not send, or not just now; the text says why. Answer it with 401."""


class StudyFileInvalid(AssayError):
    """A study file that is not a study: one line per problem, `file:line:column: what is wrong`."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class WaitTimeout(AssayError, TimeoutError):
    """The study had not ended when the time was up; it goes on."""
