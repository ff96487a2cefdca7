"""Assay: a client for a self-hosted AutoML service, and what a script says while a study runs it.

    import assay

    with assay.Client() as client:
        study = client.studies.create({...})
        client.studies.wait(study["name"])
        print(client.studies.best(study["name"])["config"])

In a script that a study runs (see `assay.script`):

    config = assay.config()
    assay.report(step=1, val_loss=0.3)

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
    Forbidden,
    Invalid,
    NotFound,
    ProblemError,
    SignatureInvalid,
    StaleAttempt,
    StudyFileInvalid,
    Unauthorized,
    UnexpectedAnswer,
    WaitTimeout,
)

if TYPE_CHECKING:
    from assay.attempt import Run
    from assay.client import Client
    from assay.script import (
        Fidelity,
        checkpoint_dir,
        config,
        fidelity,
        infeasible,
        report,
        resume_dir,
        seed,
        should_stop,
    )
    from assay.sse import Message
    from assay.study_file import load_study

_LAZY = {
    "Client": "assay.client",
    "Message": "assay.sse",
    "Run": "assay.attempt",
    "load_study": "assay.study_file",
} | dict.fromkeys(
    (
        "Fidelity",
        "checkpoint_dir",
        "config",
        "fidelity",
        "infeasible",
        "report",
        "resume_dir",
        "seed",
        "should_stop",
    ),
    "assay.script",
)

__all__ = [
    "AssayError",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Fidelity",
    "FieldProblem",
    "Forbidden",
    "Invalid",
    "Message",
    "NotFound",
    "ProblemError",
    "Run",
    "SignatureInvalid",
    "StaleAttempt",
    "StudyFileInvalid",
    "Unauthorized",
    "UnexpectedAnswer",
    "WaitTimeout",
    "checkpoint_dir",
    "config",
    "fidelity",
    "infeasible",
    "load_study",
    "report",
    "resume_dir",
    "seed",
    "should_stop",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
