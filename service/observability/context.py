"""Which request, study, run and attempt the work at hand is for. Log lines carry it, and threads of FastAPI inherit it.

with bound(study="digits", run=17):
    log.info("submitted")            # ... study=digits run=17
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType

Ids = Mapping[str, object]

NAMES = ("request_id", "study", "trial", "run", "attempt", "trace_id")
_NOTHING: Ids = MappingProxyType({})
_ids: ContextVar[Ids] = ContextVar("assay_ids", default=_NOTHING)


def current() -> Ids:
    """The ids that are bound here, in the order in which they were bound."""
    return _ids.get()


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Binds ids for the block, beside those that are bound already. None binds nothing."""
    token = bind(ids)
    try:
        yield
    finally:
        unbind(token)


def bind(ids: Ids) -> Token[Ids]:
    """`bound` without the block, for hot paths; to be undone by `unbind`."""
    assert ids.keys() <= set(NAMES), f"ids are {NAMES}"
    return _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value is not None}})


def unbind(token: Token[Ids]) -> None:
    _ids.reset(token)
