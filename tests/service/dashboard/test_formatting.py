from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.dashboard.formatting import ago, algorithm, count, duration, number, objective, origin, segment, sentence

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.0, "0"),
        (27, "27"),
        (27.0, "27"),
        (-3.25, "-3.25"),
        (0.012345678, "0.01235"),
        (0.5, "0.5"),
        (0.0001, "0.0001"),
        (0.00001234, "1.234e-05"),
        (1234567.5, "1.235e+06"),
        (123456.7, "123500"),
        (12345678901, "1.235e+10"),
        (-1e30, "-1e+30"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (999, "999"), (10000, "10\u202f000"), (2.5, "2.5")])
def test_counts(value: float, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0421, "42 ms"),
        (1, "1 s"),
        (59.9, "59 s"),
        (192, "3 min 12 s"),
        (18120, "5 h 02 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (59, "just now"),
        (61, "1 min ago"),
        (7300, "2 h ago"),
        (200000, "2 d ago"),
        (4e7, "2024-11-23"),
    ],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"), NOW) == text


def test_words() -> None:
    assert objective({"type": "train", "family": "lenet", "dataset": "digits", "epochs": 3}) == "train lenet digits"
    usual = {"name": "hyperband", "eta": 3, "rounding": "ceil", "max_open_brackets": 4}
    assert algorithm(usual) == "hyperband"
    assert algorithm({**usual, "eta": 4}) == "hyperband eta=4"
    stop = {"rule": "patience", "reports": 5, "delta": 0, "grace": 0}
    assert algorithm({"name": "random", "stop": stop, "chosen_because": "so"}) == "random, stop patience reports=5"
    assert algorithm({"name": "of another version", "a": 1}) == "of another version a=1"
    assert origin({}) == "not recorded"
    assert origin({"sampler": "kde", "parents": [3, 7], "p": 0.25}) == "sampler kde, parents [3, 7], p 0.25"
    assert segment("a/b ?#ü") == "a%2Fb%20%3F%23%C3%BC"
    assert sentence("there is nothing") == "There is nothing."
    assert sentence("did you mean it?") == "Did you mean it?"
