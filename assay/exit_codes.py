"""The exit codes of the command line. Scripts may rely on them; `assay --help` and docs/cli.md print this table."""

from __future__ import annotations

from enum import IntEnum

from assay.errors import (
    AssayError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Invalid,
    NotFound,
    StudyFileInvalid,
    Unauthorized,
)


class ExitCode(IntEnum):
    OK = 0
    ERROR = 1
    USAGE = 2
    INVALID = 3
    NOT_FOUND = 4
    CONFLICT = 5
    UNREACHABLE = 6
    STUDY_FAILED = 7
    REFUSED = 8
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "success",
    ExitCode.ERROR: "anything else that went wrong",
    ExitCode.USAGE: "the command line is wrong, or a file that it names cannot be read",
    ExitCode.INVALID: "the study is invalid; every problem is printed with its place",
    ExitCode.NOT_FOUND: "there is no such study, or no result yet",
    ExitCode.CONFLICT: "the name is taken, or the study's state does not allow it",
    ExitCode.UNREACHABLE: "the service cannot be reached",
    ExitCode.STUDY_FAILED: "the study failed or was cancelled (when the command waits for its end)",
    ExitCode.REFUSED: "a token is needed, or it is not good, or it does not allow this",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}

_OF_ERRORS: tuple[tuple[type[AssayError], ExitCode], ...] = (
    (Invalid, ExitCode.INVALID),
    (StudyFileInvalid, ExitCode.INVALID),
    (NotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.CONFLICT),
    (ConnectionFailed, ExitCode.UNREACHABLE),
    (Unauthorized, ExitCode.REFUSED),
    (Forbidden, ExitCode.REFUSED),
)


def of_error(error: AssayError) -> ExitCode:
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), ExitCode.ERROR)
