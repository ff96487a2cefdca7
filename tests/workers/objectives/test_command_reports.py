"""The file of reports is read as it grows: no line twice, none before it is whole, the bad one by its number."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.objectives.command_reports import MAX_LINE, ReportsFile
from workers.protocol import Failure


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reports.jsonl"


def append(path, text):
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def line(step, **metrics):
    return json.dumps({"step": step, "metrics": metrics}) + "\n"


def read(path, ended=False):
    return [(report.step, dict(report.metrics)) for report in ReportsFile(path).new(ended=ended)]


def test_a_partial_line_waits_for_its_end(path):
    reports = ReportsFile(path)
    append(path, line(1, loss=0.5) + '{"step": 2, "met')
    assert [report.step for report in reports.new(ended=False)] == [1]
    assert list(reports.new(ended=False)) == []
    append(path, 'rics": {"loss": 0.25}}\n')
    assert [report.metrics for report in reports.new(ended=False)] == [{"loss": 0.25}]
    assert reports.last.step == 2


def test_the_last_line_of_an_ended_command_needs_no_newline(path):
    append(path, line(1, loss=0.5).strip())
    assert read(path) == []
    assert read(path, ended=True) == [(1, {"loss": 0.5})]


def test_a_step_that_is_reported_again_is_not_heard(path):
    append(path, line(1, loss=0.5) + line(1, loss=9) + line(1.0, loss=9) + line(2, loss=0.25))
    assert read(path) == [(1, {"loss": 0.5}), (2, {"loss": 0.25})]


def test_without_a_step_it_is_the_one_after_the_last(path):
    append(path, '{"metrics": {"a": 1}}\n{"step": 4.5, "metrics": {"a": 1}}\n{"metrics": {"a": 1}}\n')
    assert [step for step, _ in read(path)] == [1, 4.5, 5]


def test_what_is_not_finite_comes_through(path):
    append(
        path, '{"step": 1, "metrics": {"a": null, "b": NaN, "c": "-Infinity", "d": 1e999, "e": 1' + "0" * 400 + "}}\n"
    )
    ((_, metrics),) = read(path)
    assert math.isnan(metrics["a"])
    assert math.isnan(metrics["b"])
    assert (metrics["c"], metrics["d"], metrics["e"]) == (-math.inf, math.inf, math.inf)


def test_empty_lines_and_further_keys_do_not_matter(path):
    append(path, '\n  \r\n{"step": 1, "metrics": {"a": 1}, "time": "now"}\r\n')
    assert read(path) == [(1, {"a": 1.0})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss = 3", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        ("[1, 2]", "has no metrics"),
        ('{"step": 1, "loss": 3}', "has no metrics"),
        ('{"step": 1, "metrics": {}}', "has no metrics"),
        ('{"step": 4, "metrics": {"loss": "low"}}', 'has "low" as the metric loss, which must be a number'),
        ('{"step": 4, "metrics": {"loss": true}}', "has true as the metric loss"),
        ('{"step": "1", "metrics": {"loss": 1}}', 'has the step "1", which must be a number'),
        ('{"step": -1, "metrics": {"loss": 1}}', "has the step -1"),
        ('{"step": NaN, "metrics": {"loss": 1}}', "has the step NaN"),
        ('{"step": true, "metrics": {"loss": 1}}', "has the step true"),
        (r'{"step": 4, "metrics": {"lo\ud800ss": 1}}', "a metric whose name no database can keep: 'lo\\ud800ss'"),
        ('{"step": 2, "metrics": {"loss": 1}}', "goes back to step 2 after step 3"),
    ],
)
def test_a_bad_line_is_named_after_the_good_ones_were_heard(path, text, message):
    append(path, line(3, loss=1) + "\n")
    append(path, text)
    append(path, "\n")
    reports = ReportsFile(path).new(ended=False)
    assert next(reports).step == 3
    with pytest.raises(Failure) as caught:
        next(reports)
    assert caught.value.message.startswith("line 3 of the reports ")
    assert message in caught.value.message
    assert len(caught.value.message) < 500


def test_a_line_without_end_is_refused(path):
    append(path, b"x" * (MAX_LINE + 1))
    with pytest.raises(Failure, match="line 1 of the reports is longer than 1000000 bytes"):
        read(path)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_however_it_is_cut_each_report_is_heard_once(tmp_path_factory, values, cuts):
    path = tmp_path_factory.mktemp("reports") / "reports.jsonl"
    text = "".join(line(step, loss=value) for step, value in enumerate(values, 1))
    reports = ReportsFile(path)
    heard = []
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in pairwise(places):
        append(path, text[start:end])
        heard += reports.new(ended=False)
    assert [(report.step, report.metrics["loss"]) for report in heard] == list(enumerate(values, 1))
