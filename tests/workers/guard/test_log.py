"""A log keeps its beginning and its end within its bounds, and says how much is missing between them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from workers.guard.log import BoundedLog, Tail

LIMIT = 1000


def written(path, chunks):
    log = BoundedLog(path, LIMIT)
    for chunk in chunks:
        log.write(chunk)
        assert path.stat().st_size <= LIMIT  # at any time: others read it meanwhile
    log.close()
    return path.read_bytes()


@given(st.lists(st.integers(0, 700), max_size=30))
def test_beginning_and_end_are_kept_and_what_is_missing_is_counted(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("log") / "run.log"
    text = b"".join(f"{n:07} ".encode() for n in range(sum(sizes) // 8 + 1))[: sum(sizes)]
    chunks, start = [], 0
    for size in sizes:
        chunks.append(text[start : start + size])
        start += size
    content = written(path, chunks)
    if len(text) <= LIMIT:
        assert content == text
        return
    head, missing, tail = re.fullmatch(rb"(.*)\n\[(\d+) bytes are left out here\]\n(.*)", content, re.DOTALL).groups()
    assert len(head) == LIMIT * 2 // 5
    assert len(tail) >= LIMIT // 5
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + int(missing) + len(tail) == len(text)


def test_an_earlier_log_is_replaced(tmp_path):
    written(tmp_path / "run.log", [b"x" * 500])
    assert written(tmp_path / "run.log", [b"new"]) == b"new"


def test_a_tail_is_the_end_as_text():
    tail = Tail(limit=5)
    for chunk in (b"abc", b"", b"defg\xff"):
        tail.write(chunk)
    assert tail.text == "defg\N{REPLACEMENT CHARACTER}"
