"""What a repository may refuse.

LookupError
└── NotFound       no such row; `known` holds near names, if there are any
ValueError
├── NameTaken      another one of its kind has that name
├── NotEmpty       what is to be deleted still owns something
└── QuotaUsedUp    the project has as much as it may have at once
"""

from __future__ import annotations

from collections.abc import Sequence


class NotFound(LookupError):
    def __init__(self, message: str, known: Sequence[str] = ()) -> None:
        super().__init__(message + (f"; did you mean {' or '.join(known)}?" if known else ""))
        self.known = tuple(known)


class NameTaken(ValueError):
    def __init__(self, name: str, kind: str = "study") -> None:
        super().__init__(f"a {kind} named {name!r} exists already")
        self.name = name
        self.kind = kind


class NotEmpty(ValueError):
    pass


class QuotaUsedUp(ValueError):
    pass
