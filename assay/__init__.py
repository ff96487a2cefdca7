"""Assay: a client for a self-hosted AutoML service.

    import assay

    with assay.Client() as client:
        study = client.studies.create({...})
        client.studies.wait(study["name"])
        print(client.studies.best(study["name"])["config"])

Importing this package loads nothing but the standard library: the client and its HTTP library come with first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.errors import (
    AssayError,
    Conflict,
    ConnectionFailed,
    FieldProblem,
    Invalid,
    NotFound,
    ProblemError,
    StudyFileInvalid,
    UnexpectedAnswer,
    WaitTimeout,
)

if TYPE_CHECKING:
    from assay.client import Client
    from assay.sse import Message
    from assay.study_file import load_study

_LAZY = {"Client": "assay.client", "Message": "assay.sse", "load_study": "assay.study_file"}

__all__ = [
    "AssayError",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "FieldProblem",
    "Invalid",
    "Message",
    "NotFound",
    "ProblemError",
    "StudyFileInvalid",
    "UnexpectedAnswer",
    "WaitTimeout",
    "load_study",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
