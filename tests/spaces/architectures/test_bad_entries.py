"""What is wrong with an entry of type `cell`, and where."""

from typing import Any

import pytest

from spaces import InvalidInput, Space, json_schema, read_changes
from spaces.architectures import written_out

LR = {"name": "lr", "type": "float", "low": 0.1, "high": 1}


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"preset": None}, ("preset",), "unknown preset null (known: "),
        ({"preset": "nasbench-201"}, ("preset",), 'did you mean "nas-bench-201"?'),
        ({"name": "x" * 61}, ("name",), "at most 60 characters"),
        ({"name": " "}, ("name",), "printable"),
        ({"nodes": 1}, ("nodes",), "must be 2 to 8 (nodes of the cell, with its input and output), got 1"),
        ({"nodes": True}, ("nodes",), "must be an integer, got true or false"),
        ({"ops": "none"}, ("ops",), "must be a list"),
        ({"ops": []}, ("ops",), "needs at least one operation"),
        ({"ops": ["none", "none"]}, ("ops", 1), 'repeats 0, "none"'),
        ({"ops": ["nor_conv_3x3", "nor_conv_5x5"]}, ("ops", 1), 'unknown operation "nor_conv_5x5"; did you mean'),
        ({"ops": [["none"]]}, ("ops", 0), "unknown operation a list"),
        ({"blocks": 3}, ("blocks",), "unknown field"),
        ({"when": {"parameter": "lr", "gt": 0.5}}, ("when",), "unknown field"),
        ({"choices": []}, ("choices",), "must be an object"),
        ({"choices": {"0-4": ["none"]}}, ("choices", "0-4"), "unknown choice of the architecture"),
        ({"choices": {"0-1": []}}, ("choices", "0-1"), "at least one"),
        ({"choices": {"0-1": ["nor_conv"]}}, ("choices", "0-1", 0), 'unknown choice "nor_conv"'),
        ({"preset": "chain", "widths": [7]}, ("widths", 0), "must be one of 4, 8, 12"),
        ({"preset": "chain", "choices": {"1.width": [True]}}, ("choices", "1.width", 0), "must be one of 16, 24"),
    ],
)
def test_a_wrong_entry(fields: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    entry = {"name": "cell", "type": "cell", "preset": "nas-bench-201", **fields}
    space = {"parameters": [LR, entry]}
    for read in (Space.from_json, written_out):
        with pytest.raises(InvalidInput) as invalid:
            read(space)
        (problem,) = invalid.value.problems
        assert problem.path == ("parameters", 1, *path)
        assert message in problem.message


def test_all_problems_are_named_at_once_where_the_user_wrote_them() -> None:
    bench = {"type": "cell", "preset": "nas-bench-201"}
    with pytest.raises(InvalidInput) as invalid:
        Space.from_json(
            {
                "parameters": [
                    {"name": "a", **bench, "nodes": 9},
                    {"name": "b", **bench},
                    {"name": "lr", "type": "float", "low": 2, "high": 1},
                    {"name": "b", **bench},
                    {"name": "b.0-1", "type": "bool"},
                    {"type": "cell", "preset": "darts"},
                    {"name": "c", "type": "bool", "when": {"parameter": "a.0-1", "equals": "what"}},
                ],
                "constraints": [{"forbid": {"parameter": "a.9-9", "equals": "none"}}],
            }
        )
    problems = {problem.location: problem.message for problem in invalid.value.problems}
    assert list(problems) == [
        "parameters[0].nodes",
        "parameters[5].name",
        "parameters[2].low",
        "parameters[4].name",
        "parameters[6].when.equals",
        "constraints[0].forbid.parameter",
        "parameters[3]",
    ]
    assert problems["parameters[3]"] == 'repeats the name of parameters[1], "b"'
    assert problems["parameters[4].name"] == 'repeats the name of parameters[1], "b.0-1"'


def test_the_fidelity_is_no_choice() -> None:
    entry = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
    with pytest.raises(InvalidInput, match=r"^parameters\[0\]: is the name of the fidelity"):
        Space.from_json({"parameters": [entry], "fidelity": {"name": "cell.0-1", "low": 1, "high": 9}})


@pytest.mark.parametrize("space", [None, [], "x", {}, {"parameters": None}, {"parameters": [None, 3]}])
def test_what_is_no_space_is_left_to_the_reader(space: Any) -> None:
    assert written_out(space)[0] == space
    with pytest.raises(InvalidInput):
        Space.from_json(space)


def test_too_many_cells_are_refused_before_they_are_written_out() -> None:
    entries = [{"name": f"c{n}", "type": "cell", "preset": "hierarchical"} for n in range(100_000)]
    with pytest.raises(InvalidInput, match="at most 1000 parameters"):
        Space.from_json({"parameters": entries})


def test_a_condition_and_a_constraint_may_look_at_a_choice() -> None:
    space = Space.from_json(
        {
            "parameters": [
                {"name": "cell", "type": "cell", "preset": "nas-bench-201"},
                {"name": "momentum", "type": "bool", "when": {"parameter": "cell.0-1", "equals": "none"}},
            ],
            "constraints": [{"forbid": {"parameter": "cell.2-3", "equals": "none"}}],
        }
    )
    assert space.size() == 5**4 * 4 * (4 + 2)


def test_a_cell_is_not_added_to_a_study_that_runs() -> None:
    with pytest.raises(InvalidInput, match=r"\[0\].add.type: must be that of a plain parameter"):
        read_changes([{"add": {"name": "cell", "type": "cell", "preset": "darts"}}])


def test_the_schema_knows_cells() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="checks the schema with a reader that is not ours")
    validator = jsonschema.Draft202012Validator(json_schema())

    def accepts(**fields: Any) -> bool:
        return bool(validator.is_valid({"parameters": [{"name": "cell", "type": "cell", **fields}]}))

    assert accepts(preset="darts", nodes=None, ops=["skip_connect"], choices={"normal.2.op0": ["skip_connect"]})
    assert accepts(preset="chain", widths=[16, 32], choices=None)
    assert not accepts(preset="darts", ops=["none"])
    assert not accepts(preset="darts", nodes=9)
    assert not accepts(preset="darts", stages=3)
    assert not accepts(preset="dart")
    assert not accepts()
