"""Server-sent events: messages survive any cut of the bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import UnexpectedAnswer
from assay.sse import Message, messages

STREAM = (
    b": ping\n\n"
    b'event: run.running\nid: 7\ndata: {"seq": 7,\ndata:  "run": 0}\n\n'
    b'event: report\r\ndata:{"run": 0, "text": "a\xe2\x80\xa8b\xc2\x85c"}\r\n\r\n'
    b"event: empty\n\n"
    b"retry: 10\nid: 8\nevent: run.succeeded\ndata: {}\n\n"
    b"event: cut\ndata: {}\n"
)
MESSAGES = [
    Message("run.running", 7, {"seq": 7, "run": 0}),
    Message("report", None, {"run": 0, "text": "a\u2028b\u0085c"}),
    Message("run.succeeded", 8, {}),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_messages_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]

    assert list(messages(STREAM[a:b] for a, b in pairwise(edges))) == MESSAGES


@pytest.mark.parametrize("data", [b"{", b"[1]", b"3"])
def test_data_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="the event stream has a message"):
        list(messages([b"data: " + data + b"\n\n"]))


def test_an_id_that_is_no_number_is_refused() -> None:
    with pytest.raises(UnexpectedAnswer):
        list(messages([b"id: x\ndata: {}\n\n"]))
