"""What is wrong with a command is said when the study is created, each problem with its path."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.objectives import check
from workers.objectives.command_template import problems, render

SPACE = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 1, "log": True},
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"]},
        {
            "name": "momentum",
            "type": "float",
            "low": 0,
            "high": 1,
            "when": {"parameter": "optimizer", "equals": "sgd"},
        },
    ]
}
FIDELITY = {"name": "epochs", "low": 1, "high": 27}


def found(space=SPACE, **options):
    """The problems of a study with these options: path as people write it -> message."""
    objective = {"type": "command", "command": ["python"], **options}
    return {problem.location: problem.message for problem in check({"objective": objective, "space": space})}


def test_a_command_that_uses_everything_is_right():
    command = ["{python}", "train.py", "--lr={lr}", ["-m", "{momentum}", "{seed}"], ["{resume_from}"], "{checkpoint}"]
    space = {**SPACE, "fidelity": FIDELITY}
    options = {"workdir": "/somewhere", "env": {"A": "1"}, "grace_seconds": 0, "timeout_seconds": 0.5}
    assert found(space, command=[*command, "{fidelity}", "{{lr}}", ""], **options) == {}


def test_null_is_an_option_that_was_left_out():
    assert found(workdir=None, env=None, grace_seconds=None, timeout_seconds=None) == {}


@pytest.mark.parametrize("command", [None, "python train.py", [], {}, 3])
def test_a_command_is_a_list(command):
    assert found(command=command) == {"objective.command": "must be a list: the program, then its arguments, as texts"}


def test_a_command_is_required():
    (problem,) = check({"objective": {"type": "command"}, "space": SPACE})
    assert problem.location == "objective.command"
    assert "is required" in problem.message


@pytest.mark.parametrize(
    ("argument", "path", "message"),
    [
        ("{learning_rate}", "[1]", "unknown value"),
        ("{l}", "[1]", "unknown value"),
        ("{momentum}", "[1]", "{momentum} does not exist in every run: put the argument into a group"),
        ("{resume_from}", "[1]", "put the argument into a group"),
        ("{fidelity}", "[1]", "the space has no fidelity"),
        ("{lr", "[1]", "a brace without its partner"),
        ("lr}", "[1]", "a brace without its partner"),
        ('{"lr": {lr}}', "[1]", "a brace without its partner"),
        ("{}", "[1]", "unknown value"),
        ("a\0b", "[1]", "NUL"),
        ("\ud800", "[1]", "half of a surrogate pair"),
        ("x" * 100_001, "[1]", "at most 100000 bytes"),
        (3, "[1]", "must be a text, or a group: a list of texts; got an integer"),
        ([], "[1]", "must be a text, or a group"),
        (["-m", 3], "[1][1]", "must be a text, got an integer"),
        (["-m", ["{momentum}"]], "[1][1]", "must be a text, got a list"),
        (["-m", "{moment}"], "[1][1]", 'did you mean "momentum"?'),
        (["-m", "a\0"], "[1][1]", "NUL"),
    ],
)
def test_a_wrong_argument_is_named(argument, path, message):
    wrong = found(command=["python", argument])
    assert list(wrong) == [f"objective.command{path}"]
    assert message in wrong[f"objective.command{path}"]


def test_the_program_is_a_text():
    assert "must be a text: the program" in found(command=[["python"]])["objective.command[0]"]
    assert "is the program" in found(command=[""])["objective.command[0]"]
    assert found(command=["{optimizer}"]) == {}


def test_too_many_arguments_are_refused():
    assert "at most 1000" in found(command=["x"] * 500 + [["y"] * 501])["objective.command"]
    assert found(command=["x"] * 500 + [["y"] * 500]) == {}


def test_a_parameter_with_the_name_of_a_value_of_the_run_is_refused_where_it_is_used():
    space = {"parameters": [{"name": "seed", "type": "int", "low": 0, "high": 9}]}
    assert "rename the parameter" in found(space, command=["python", "{seed}"])["objective.command[1]"]
    assert found(space, command=["python"]) == {}


def test_names_are_not_looked_at_in_a_space_that_is_wrong_itself():
    assert found({"parameters": 3}, command=["python", "{anything}"]) == {}
    assert list(found({"parameters": 3}, command=["python", "{anything"])) == ["objective.command[1]"]


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"workdir": "train"}, "workdir", "must be an absolute path"),
        ({"workdir": ""}, "workdir", "must be an absolute path"),
        ({"workdir": 3}, "workdir", "must be an absolute path"),
        ({"workdir": "/a\0"}, "workdir", "NUL"),
        ({"env": ["A=1"]}, "env", "must be an object"),
        ({"env": {"A": 1}}, "env.A", "must be a text, got an integer"),
        ({"env": {"A": "\0"}}, "env.A", "NUL"),
        ({"env": {"A=B": "1"}}, "env.A=B", "is not a variable's name"),
        ({"env": {"": "1"}}, "env.", "is not a variable's name"),
        ({"env": {"ASSAY_CONFIG": "{}"}}, "env.ASSAY_CONFIG", "the service's own"),
        ({"grace_seconds": -1}, "grace_seconds", "number of seconds from 0"),
        ({"grace_seconds": True}, "grace_seconds", "number of seconds from 0"),
        ({"timeout_seconds": 0}, "timeout_seconds", "number of seconds above 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds", "number of seconds above 0"),
        ({"timeout_seconds": "60"}, "timeout_seconds", "number of seconds above 0"),
        ({"time_out": 60}, "time_out", "unknown field"),
    ],
)
def test_a_wrong_option_is_named(options, path, message):
    wrong = found(**options)
    assert list(wrong) == [f"objective.{path}"]
    assert message in wrong[f"objective.{path}"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="{}ab\0\ud800", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(command=json_values, workdir=json_values, env=json_values, seconds=json_values)
def test_whatever_is_sent_is_answered_with_problems(command, workdir, env, seconds):
    check({"objective": {"type": "command", "command": command, "workdir": workdir, "env": env}, "space": SPACE})
    objective = {"type": "command", "command": command, "grace_seconds": seconds, "timeout_seconds": seconds}
    check({"objective": objective, "space": SPACE})


values = st.text() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
arguments = st.lists(st.sampled_from(["{{", "}}", "a", " ", "$x", "{here}", "{gone}"]), max_size=6)


@given(st.lists(arguments | st.tuples(arguments, arguments), max_size=5), values)
def test_what_is_right_is_rendered_and_values_are_never_read_again(elements, value):
    """Arguments are lists of pieces here, groups are pairs of arguments."""
    meaning = {"{{": "{", "}}": "}", "{here}": value if isinstance(value, str) else json.dumps(value)}

    def joined(pieces):
        return "".join(pieces)

    command = ["python", *(list(map(joined, e)) if isinstance(e, tuple) else joined(e) for e in elements)]
    wrong = [problem.path[2] for problem in problems(command, {"here"}, {"gone"}, {})]
    assert wrong == [
        index for index, e in enumerate(elements, 1) if isinstance(e, list) for piece in e if piece == "{gone}"
    ]
    expected = ["python"]
    for element in elements:
        group = element if isinstance(element, tuple) else (element,)
        if not any("{gone}" in pieces for pieces in group):
            expected += [joined(meaning.get(piece, piece) for piece in pieces) for pieces in group]
    if not wrong:
        assert render(command, {"here": value}) == expected
