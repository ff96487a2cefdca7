"""JSON that is slightly or badly wrong: valid payloads with a few changes, each at one place."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("ASSAY_FUZZ_EXAMPLES", "0"))
"""How many examples each fuzzer tries; 0 for as many as fit into an ordinary run of the tests."""


def examples(ordinary: int) -> int:
    return EXAMPLES or ordinary


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


NUMBERS: st.SearchStrategy[Any] = st.sampled_from(
    [-0.0, 0, 1, -1, 0.5, 3, 27.0, 1e308, -1e308, 1e-320, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30]
)
TEXTS: st.SearchStrategy[Any] = st.sampled_from(
    ["", "a", "loss", "NaN", "Infinity", "-Infinity", "null", "1", "é😀", "\u202e", "a\0b", "\ud800", " ", "a" * 5000]
) | st.text(max_size=20)
ODD: st.SearchStrategy[Any] = (
    NUMBERS
    | TEXTS
    | st.sampled_from([None, True, False, [], {}, [1], {"a": 1}, nested(30), nested(70), [0] * 3000])
    | st.dictionaries(TEXTS.map(lambda text: text[:50]), NUMBERS, max_size=3)
    | st.lists(NUMBERS | TEXTS, max_size=4)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths into a JSON value, its own (the empty one) excepted."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((*path, key), *places(inner, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def mutated(draw: st.DrawFn, valid: Any, *, most: int = 3, odd: st.SearchStrategy[Any] = ODD) -> Any:
    """A copy with up to `most` changes: a value replaced, left out, doubled or moved, or a name that nobody knows."""
    body = copy.deepcopy(valid)
    odd = odd.map(copy.deepcopy)  # the next change may be within it
    for _ in range(draw(st.integers(0, most))):
        found = places(body)
        if not found:
            break
        *outer, key = draw(st.sampled_from(found))
        parent = at(body, tuple(outer))
        match draw(st.sampled_from(["replace", "replace", "replace", "drop", "double", "swap", "add"])):
            case "replace":
                parent[key] = draw(odd)
            case "drop":
                del parent[key]
            case "double" if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case "swap":
                parent[key] = copy.deepcopy(at(valid, draw(st.sampled_from(places(valid)))))
            case "add" if isinstance(parent, dict):
                parent[draw(TEXTS)] = draw(odd)
    return body


def resolves(pointer: str, payload: Any) -> bool:
    """Whether a JSON Pointer leads into the payload: to what is there, or to a field that its parent lacks."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        if isinstance(payload, list):
            if not step.isdecimal() or int(step) >= len(payload):
                return last and step.isdecimal()
            payload = payload[int(step)]
        elif isinstance(payload, dict):
            if step not in payload:
                return last
            payload = payload[step]
        else:
            return False
    return True
