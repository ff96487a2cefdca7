"""Configs as shell variables: what a shell sources is what the config says."""

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.env_format import env_lines
from assay.errors import AssayError


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ({"lr": 0.01}, ["LR=0.01"]),
        ({"width": 64, "nesterov": True, "bias": False}, ["WIDTH=64", "NESTEROV=true", "BIAS=false"]),
        ({"optimizer": "sgd"}, ["OPTIMIZER=sgd"]),
        ({"note": "it's $HOME"}, ["NOTE='it'\"'\"'s $HOME'"]),
        ({"empty": ""}, ["EMPTY=''"]),
        ({"conv.0-width": 3}, ["CONV_0_WIDTH=3"]),
        ({"2nd": 1}, ["_2ND=1"]),
        ({"größe": 1}, ["GR_SSE=1"]),
        ({"lr": 1e-07}, ["LR=1e-07"]),
    ],
)
def test_lines(config: dict[str, object], lines: list[str]) -> None:
    assert env_lines(config) == lines


def test_a_prefix_keeps_clear_of_other_variables() -> None:
    assert env_lines({"path": "x", "2nd": 1}, prefix="HP_") == ["HP_PATH=x", "HP_2ND=1"]


@pytest.mark.parametrize("prefix", ["1", "a b", "a;rm", "-"])
def test_a_prefix_must_start_a_name(prefix: str) -> None:
    with pytest.raises(AssayError, match="not the start of a variable's name"):
        env_lines({"lr": 1}, prefix)


def test_two_parameters_of_one_name_are_refused() -> None:
    with pytest.raises(AssayError, match=r"'a-b' and 'a.b' would both be called A_B"):
        env_lines({"a-b": 1, "a.b": 2})


# surrogates cannot be encoded; a NUL cannot be in any shell's variable
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), TEXT | st.integers() | st.booleans()))
def test_a_real_shell_reads_back_every_value(config: dict[str, str | int | bool]) -> None:
    names = [f"HP_{name.upper()}" for name in config]
    script = "\n".join([*env_lines(config, "HP_"), *(f"printf '%s\\0' \"${name}\"" for name in names)])

    output = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode()

    expected = [value if isinstance(value, str) else json.dumps(value) for value in config.values()]
    assert output.split("\0")[:-1] == expected
