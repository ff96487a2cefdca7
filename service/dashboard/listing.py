"""The state of the trial table as it stands in the address: order, filter, page. Every control is a link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar
from urllib.parse import urlencode

from fastapi import Depends

from search.history import RunState
from service.repositories.errors import NotFound
from service.repositories.trial_order import Cursor, Sort


@dataclass(frozen=True, slots=True)
class Listing:
    """Methods answer the query of the link that a control leads to; defaults are left out of it."""

    sort: Sort = Sort.NEWEST
    state: RunState | None = None
    after: Cursor | None = None

    states: ClassVar = (None, *RunState)

    @classmethod
    def parse(cls, sort: str | None, state: str | None, after: str | None) -> Listing:
        """From an address. Raises NotFound: the page that it names does not exist."""
        try:
            return cls(
                sort=Sort(sort) if sort else Sort.NEWEST,
                state=RunState(state) if state else None,
                after=Cursor.parse(after) if after else None,
            )
        except ValueError as error:
            raise NotFound(f"there is no such list of trials: {error}") from error

    @property
    def here(self) -> str:
        values = {
            "sort": None if self.sort is Sort.NEWEST else self.sort.value,
            "state": self.state and self.state.value,
            "after": self.after and str(self.after),
        }
        query = urlencode({key: value for key, value in values.items() if value})
        return f"?{query}" if query else ""

    def first(self) -> str:
        return replace(self, after=None).here

    def beyond(self, after: Cursor) -> str:
        return replace(self, after=after).here

    def with_state(self, state: RunState | None) -> str:
        return replace(self, state=state, after=None).here

    def by_number(self) -> str:
        return self._by(Sort.OLDEST if self.sort is Sort.NEWEST else Sort.NEWEST)

    def by_value(self) -> str:
        return self._by(Sort.WORST if self.sort is Sort.BEST else Sort.BEST)

    def order_of(self, column: str, *, maximize: bool) -> str:
        """The `aria-sort` of the column `number` or `value`."""
        if column != ("number" if self.sort in (Sort.NEWEST, Sort.OLDEST) else "value"):
            return "none"
        falls = {Sort.NEWEST: True, Sort.OLDEST: False, Sort.BEST: maximize, Sort.WORST: not maximize}
        return "descending" if falls[self.sort] else "ascending"

    def _by(self, sort: Sort) -> str:
        return replace(self, sort=sort, after=None).here


def _listing(sort: str | None = None, state: str | None = None, after: str | None = None) -> Listing:
    return Listing.parse(sort, state, after)


ListingOfQuery = Annotated[Listing, Depends(_listing)]
