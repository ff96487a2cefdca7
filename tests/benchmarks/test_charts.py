"""The charts are well-formed and say what the numbers say."""

import math
from xml.etree import ElementTree

from benchmarks import charts

SVG = "{http://www.w3.org/2000/svg}"


def strokes(drawn, width):
    """The x coordinates of the lines of this width."""
    lines = ElementTree.fromstring(drawn).iter(f"{SVG}polyline")
    return [
        [float(point.split(",")[0]) for point in line.attrib["points"].split()]
        for line in lines
        if line.attrib["stroke-width"] == width
    ]


def test_bars_join_the_methods_that_cannot_be_told_apart():
    ranks = {"d": 3.6, "a": 1.0, "c": 2.9, "b": 1.5}
    bars = strokes(charts.critical_difference("ranks", ranks, 1.0), "4")
    assert len(bars) == 2  # a with b, c with d; b and c differ by more
    assert all(right > left for right, left in bars)  # the best rank is at the right
    assert bars[0][1] > bars[1][0]
    assert len(strokes(charts.critical_difference("ranks", ranks, 3.0), "4")) == 1
    assert strokes(charts.critical_difference("ranks", ranks, 0.1), "4") == []


def test_curves_have_bands_where_there_are_intervals_and_a_legend_from_worst_to_best():
    lines = {
        "good & quick": charts.Line([(6, 0.4), (60, 0.1)], [0.02, 0.01]),
        "slow": charts.Line([(6, 0.4), (60, 0.3)], [math.nan, math.nan]),
    }
    root = ElementTree.fromstring(charts.curves("regret", "x", "y", lines))
    assert len(list(root.iter(f"{SVG}polygon"))) == 1
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts.index("slow") < texts.index("good & quick")
    assert {"0", "0.1", "0.4", "6", "60"} <= set(texts)
