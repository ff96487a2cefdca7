"""Study files: YAML 1.2 in, the study object out, with the place of every value kept for messages.

YAML is read by its *core schema*, which is what people mean: `1e-4` is a number, `on`, `off`, `yes` and `no` are
texts, `010` is ten. (PyYAML's own schema is YAML 1.1's.) A key that stands twice is an error, not a silent choice.
JSON is YAML, so a JSON file works too.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay.errors import FieldProblem, Invalid, StudyFileInvalid
from assay.wire import Advice

_TAG = "tag:yaml.org,2002:"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_CORE_SCHEMA = (  # the first match counts
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
)


def _number(text: str) -> float:
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text.lower() == "true"


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    f"{_TAG}null": lambda text: None,
    f"{_TAG}bool": _boolean,
    f"{_TAG}int": _integer,
    f"{_TAG}float": _number,
    f"{_TAG}str": str,
}


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own attribute)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that YAML 1.1 *or* 1.2 would take for something else, so that any reader gets the text back."""


for _name, _pattern, _first in _CORE_SCHEMA:
    for _class in (_CoreLoader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(frozen=True)
class StudyFile:
    """A study as read. `places` maps JSON Pointers to (line, column), both counted from 1."""

    name: str
    study: dict[str, Any]
    places: Mapping[str, tuple[int, int]]

    def locate(self, pointer: str) -> str:
        """`study.yaml:5:12` for the value at the pointer, or for the nearest thing around it that is in the file."""
        while pointer and pointer not in self.places:
            pointer = pointer.rpartition("/")[0]
        return ":".join([self.name, *map(str, self.places[pointer])]) if pointer else self.name

    def remark(self, advice: Advice) -> str:
        """A piece of the service's advice with its place in the file."""
        return f"{self.locate(advice['pointer'])}: {advice['path']}: {advice['message']}"

    def explain(self, error: Invalid) -> StudyFileInvalid:
        """The service's refusal with the place in the file before every problem."""
        whole = FieldProblem("", "", error.detail or error.title)
        return StudyFileInvalid(*(f"{self.locate(problem.pointer)}: {problem}" for problem in error.errors or [whole]))


def load_study(path: str | Path) -> dict[str, Any]:
    """The study in a YAML or JSON file, ready for `Client.studies.create`. Raises StudyFileInvalid or OSError."""
    return parse(Path(path).read_bytes(), str(path), Path(path).parent).study


def parse(text: bytes, name: str, folder: Path = Path()) -> StudyFile:
    """Reads a study from YAML (UTF-8); `name` is the file's name for messages. Raises StudyFileInvalid.

    The working directory of a command, if it is relative, is understood from `folder`, where the file lies.
    """
    file = parse_mapping(text, name, "a study is a mapping: `name: ...`, `space: ...` and so on")
    _place(file.study.get("objective"), folder)
    return file


def parse_mapping(text: bytes, name: str, meant: str) -> StudyFile:
    """Reads any mapping as `parse` reads a study; `meant` is what is said of something else."""
    try:
        node = yaml.compose(text.decode("utf-8-sig"), Loader=_CoreLoader)
    except UnicodeDecodeError as error:
        raise StudyFileInvalid(f"{name}: is not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise StudyFileInvalid(f"{where}: is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow comes without a mark
        raise StudyFileInvalid(f"{name}: is not YAML: {error}".splitlines()[0]) from error
    except RecursionError as error:
        raise StudyFileInvalid(f"{name}: is nested too deeply") from error
    if node is None:
        raise StudyFileInvalid(f"{name}: is empty")
    builder = _Builder(name)
    study = builder.build(node, "")
    if not isinstance(study, dict):
        raise builder.refuse(node, meant)
    return StudyFile(name, study, builder.places)


def _place(objective: Any, folder: Path) -> None:
    """The service runs elsewhere: it is told an absolute path."""
    if isinstance(objective, dict) and objective.get("type") == "command":
        workdir = objective.get("workdir")
        if isinstance(workdir, str):
            objective["workdir"] = os.path.normpath(folder.absolute() / workdir)


def scalar(text: str) -> Any:
    """The value that a text on the command line stands for: `0.1`, `true`, `sgd`, as in a file. Raises ValueError."""
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
            raise ValueError("is not one value; a text with special characters must be in quotes, as in YAML")
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("is not YAML; a text with special characters must be in quotes") from error
    return _SCALARS[node.tag](node.value)


def dump(value: Any) -> str:
    """YAML for people: keys in their order, block style."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Builder:
    """Turns YAML nodes into plain values and notes where they stand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[str, tuple[int, int]] = {}
        self._around: list[yaml.Node] = []

    def refuse(self, node: yaml.Node, message: str) -> StudyFileInvalid:
        mark = node.start_mark
        return StudyFileInvalid(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {message}")

    def build(self, node: yaml.Node, pointer: str) -> Any:
        if any(node is outer for outer in self._around):
            raise self.refuse(node, "a value cannot contain itself")
        self.places[pointer] = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._around.append(node)
        try:
            match node:
                case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                    return self._mapping(node, pointer)
                case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                    return [self.build(item, f"{pointer}/{index}") for index, item in enumerate(node.value)]
                case yaml.ScalarNode():
                    return self._scalar(node)
                case _:
                    raise self.refuse(node, f"the tag {node.tag} has no meaning in a study")
        finally:
            self._around.pop()

    def _mapping(self, node: yaml.MappingNode, pointer: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != f"{_TAG}str":
                raise self.refuse(key_node, "a key must be a text; put it in quotes if it looks like something else")
            key = key_node.value
            if key in result:
                raise self.refuse(key_node, f"the key {key!r} stands here twice")
            result[key] = self.build(value_node, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        read = _SCALARS.get(node.tag)
        if read is None:
            raise self.refuse(node, f"the tag {node.tag} has no meaning in a study")
        try:
            return read(node.value)
        except ValueError as error:
            raise self.refuse(node, f"{node.value[:40]!r} cannot be read: {error}") from error
