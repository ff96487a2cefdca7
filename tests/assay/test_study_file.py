"""Study files: what people write is what they get, and what is wrong is said with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import FieldProblem, Invalid, StudyFileInvalid
from assay.study_file import dump, load_study, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("+7", 7),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2030-01-01", "2030-01-01"),
        ("'1e-4'", "1e-4"),
        ('"true"', "true"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
    ],
)
def test_scalars_are_read_as_people_mean_them(text: str, value: Any) -> None:
    read = parse(f"x: {text}".encode(), "study.yaml").study["x"]

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "study.yaml: is empty"),
        ("# nothing\n", "study.yaml: is empty"),
        ("- a\n- b", "study.yaml:1:1: a study is a mapping"),
        ("a: 1\nb: 2\na: 3", "study.yaml:3:1: the key 'a' stands here twice"),
        ("a:\n  - {b: 1, b: 2}", "study.yaml:2:12: the key 'b' stands here twice"),
        ("a: [1, 2\nb: 3", "study.yaml:2:2: is not YAML"),
        ("a: b: c", "study.yaml:1:5: is not YAML"),
        ("a: 1\n\tb: 2", "study.yaml:2:1: is not YAML"),
        ("a: *b", "study.yaml:1:4: is not YAML: found undefined alias"),
        ("a: &b [*b]", "study.yaml:1:4: a value cannot contain itself"),
        ("a: 1\n---\nb: 2", "study.yaml:2:1: is not YAML"),
        ("a: .inf", "study.yaml:1:4: '.inf' cannot be read: is not a finite number"),
        ("a: 1e999", "study.yaml:1:4: '1e999' cannot be read"),
        ("a: .nan", "study.yaml:1:4: '.nan' cannot be read"),
        ("1: a", "study.yaml:1:1: a key must be a text"),
        ("? [a]\n: b", "study.yaml:1:3: a key must be a text"),
        ("a: !!python/object:os.system x", "study.yaml:1:4: the tag"),
        ("a: !!set {b}", "study.yaml:1:4: the tag"),
        ("a: !!bool maybe", "study.yaml:1:4: 'maybe' cannot be read: is neither true nor false"),
        ("a: \x00", "study.yaml: is not YAML"),
        ("[" * 5000, "study.yaml: is nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(text: str, message: str) -> None:
    with pytest.raises(StudyFileInvalid) as caught:
        parse(text.encode(), "study.yaml")

    assert str(caught.value).startswith(message)


def test_a_file_that_is_not_text() -> None:
    with pytest.raises(StudyFileInvalid, match=r"study\.yaml: is not UTF-8"):
        parse(b"\xff\xfe\x00", "study.yaml")


def test_problems_are_explained_with_their_place_in_the_file() -> None:
    source = parse(b"name: a\nspace:\n  parameters:\n    - {name: lr, low: 0}\n", "study.yaml")
    refusal = Invalid(
        422,
        "Invalid study",
        errors=[
            FieldProblem("space.parameters[0].low", "/space/parameters/0/low", "must be above 0"),
            FieldProblem("space.parameters[0].high", "/space/parameters/0/high", "is missing"),
            FieldProblem("budget", "/budget", "is missing"),
        ],
    )

    assert source.explain(refusal).lines == (
        "study.yaml:4:23: space.parameters[0].low: must be above 0",
        "study.yaml:4:7: space.parameters[0].high: is missing",
        "study.yaml: budget: is missing",
    )


def test_a_refusal_without_fields_is_explained_by_its_detail() -> None:
    source = parse(b"name: a", "study.yaml")

    assert source.explain(Invalid(400, "Bad request", "the body is too large")).lines == (
        "study.yaml: the body is too large",
    )


def test_json_files_and_byte_order_marks(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    path.write_bytes(b'\xef\xbb\xbf{"name": "a", "space": {"parameters": [{"low": 1e-4, "log": true}]}}')

    assert load_study(path) == {"name": "a", "space": {"parameters": [{"low": 1e-4, "log": True}]}}


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["C"]))
    | st.sampled_from(["1e-4", "010", "on", "yes", "null", "~", "", "0x1", "1_0", "1:30", "2030-01-01", "a\nb", "- a"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["C"])), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["C"])), TREES))
def test_what_is_printed_as_yaml_reads_back_the_same(value: dict[str, Any]) -> None:
    text = dump(value)

    assert parse(text.encode(), "study.yaml").study == value
    assert yaml.safe_load(text) == value, "readers of YAML 1.1 get the same"


@pytest.mark.parametrize(
    ("written", "read"), [("../scripts", "/home/ada/scripts"), (".", "/home/ada/studies"), ("/opt/x", "/opt/x")]
)
def test_the_workdir_of_a_command_is_relative_to_the_file(written, read):
    text = f"objective: {{type: command, command: [x], workdir: {written}}}"
    source = parse(text.encode(), "study.yaml", Path("/home/ada/studies"))
    assert source.study["objective"]["workdir"] == read


@pytest.mark.parametrize("objective", ["{type: train, workdir: x}", "{type: command, workdir: 3}", "[workdir]", "x"])
def test_nothing_else_is_changed(objective):
    source = parse(f"objective: {objective}".encode(), "study.yaml", Path("/home/ada"))
    assert source.study == yaml.safe_load(f"objective: {objective}")
