from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import RunState
from service.dashboard.listing import Listing
from service.repositories.errors import NotFound
from service.repositories.trial_order import Cursor, Sort

numbers = st.integers(0, 2**31 - 1)
values = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.builds(Cursor, st.floats(0, allow_nan=False, allow_infinity=False), values, numbers))
def test_a_cursor_survives_its_address(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


def test_links_change_one_thing_and_begin_at_the_first_page() -> None:
    listing = Listing.parse("best", "failed", "0.0~0.5~7")
    assert listing.here == "?sort=best&state=failed&after=0.0~0.5~7"
    assert listing.first() == "?sort=best&state=failed"
    assert listing.with_state(None) == "?sort=best"
    assert listing.by_value() == "?sort=worst&state=failed"
    assert listing.by_number() == "?state=failed"
    assert listing.beyond(Cursor(0.0, None, 9)) == "?sort=best&state=failed&after=0.0~~9"
    assert Listing().here == ""


def test_every_state_has_a_link() -> None:
    assert Listing.states == (None, *RunState)


@pytest.mark.parametrize(
    ("sort", "maximize", "number", "value"),
    [
        (Sort.NEWEST, True, "descending", "none"),
        (Sort.OLDEST, True, "ascending", "none"),
        (Sort.BEST, True, "none", "descending"),
        (Sort.BEST, False, "none", "ascending"),
        (Sort.WORST, True, "none", "ascending"),
        (Sort.WORST, False, "none", "descending"),
    ],
)
def test_the_order_is_told_to_screen_readers(sort: Sort, maximize: bool, number: str, value: str) -> None:
    listing = Listing(sort=sort)
    assert listing.order_of("number", maximize=maximize) == number
    assert listing.order_of("value", maximize=maximize) == value


@pytest.mark.parametrize(
    ("sort", "state", "after"),
    [("sideways", None, None), (None, "lost", None), (None, None, "x"), (None, None, "~"), (None, None, "nan~1x")],
)
def test_an_address_that_no_link_has_is_not_found(sort: str | None, state: str | None, after: str | None) -> None:
    with pytest.raises(NotFound, match="no such list of trials"):
        Listing.parse(sort, state, after)
