"""The arguments of a command, with places for values: `--lr {lr}`.

An argument is a text; `{name}` stands for a value, `{{` and `}}` for the braces themselves. A list of texts within the
command is a group: it is left out as a whole when one of its values does not exist, such as that of a parameter that is
not active. Such values may be named in groups only. Values are put in once and never read again: no shell sees them.

    [python, train.py, --lr, "{lr}", [--momentum, "{momentum}"], [--resume, "{resume_from}"]]
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from spaces.checks import unknown
from spaces.errors import Path, Problem
from spaces.values import kind

MAX_ARGUMENTS = 1_000
MAX_LENGTH = 100_000  # of one argument, in bytes; Linux takes a little more

_TOKENS = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_PATH: Path = ("objective", "command")


def problems(
    command: object, always: Collection[str] | None, sometimes: Collection[str], missing: Mapping[str, str]
) -> Iterator[Problem]:
    """What is wrong with a command.

    `always` names the values that exist in every run, `sometimes` those that groups may name, and `missing` says why
    some names that one would expect are no values. With `always` None the names are not looked at.
    """
    if not isinstance(command, list | tuple) or not command:
        yield Problem(_PATH, "must be a list: the program, then its arguments, as texts")
        return
    if sum(len(each) if isinstance(each, list | tuple) else 1 for each in command) > MAX_ARGUMENTS:
        yield Problem(_PATH, f"must have at most {MAX_ARGUMENTS} arguments")
        return
    for index, element in enumerate(command):
        path = (*_PATH, index)
        if isinstance(element, str):
            wrong = text_problem(element) or ("" if element or index else "is the program, it cannot be empty")
            found = [wrong] if wrong else _named(element, always, sometimes, missing, in_group=False)
            yield from (Problem(path, message) for message in found)
        elif index == 0 or not isinstance(element, list | tuple) or not element:
            wanted = "a text: the program to run" if index == 0 else "a text, or a group: a list of texts"
            yield Problem(path, f"must be {wanted}; got {kind(element)}")
        else:
            for place, part in enumerate(element):
                if not isinstance(part, str):
                    yield Problem((*path, place), f"must be a text, got {kind(part)}")
                    continue
                wrong = text_problem(part)
                found = [wrong] if wrong else _named(part, always, sometimes, missing, in_group=True)
                yield from (Problem((*path, place), message) for message in found)


def render(command: Iterable[str | Iterable[str]], values: Mapping[str, object]) -> list[str]:
    """The arguments with their values. Groups that name what is not among the values are left out."""
    arguments: list[str] = []
    for element in command:
        if isinstance(element, str):
            arguments.append(_filled(element, values))
        elif all(name in values for part in element for name in _names(part)):
            arguments += [_filled(part, values) for part in element]
    return arguments


def text_problem(text: str) -> str:
    """Why no process can be given this text; empty when it can."""
    if "\0" in text:
        return "must not contain a NUL character"
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return "is not a text: it contains half of a surrogate pair"
    return f"must have at most {MAX_LENGTH} bytes" if length > MAX_LENGTH else ""


def _named(
    text: str, always: Collection[str] | None, sometimes: Collection[str], missing: Mapping[str, str], *, in_group: bool
) -> Iterator[str]:
    """What is wrong with the places in an argument."""
    if any(token in ("{", "}") for token in _TOKENS.findall(text)):
        yield "has a brace without its partner; {{ and }} stand for the braces themselves"
        return
    for name in _names(text):
        if always is None or name in always:
            continue
        if name in missing:
            yield f"{{{name}}}: {missing[name]}"
        elif name not in sometimes:
            yield f"{unknown('value', name, [*always, *sometimes])}; {{{{ and }}}} stand for the braces themselves"
        elif not in_group:
            yield (
                f"{{{name}}} does not exist in every run: put the argument into a group, a list within the command, "
                "which is left out then"
            )


def _names(text: str) -> list[str]:
    return [token[1:-1] for token in _TOKENS.findall(text) if token not in ("{{", "}}")]


def _filled(text: str, values: Mapping[str, object]) -> str:
    def replacement(token: re.Match[str]) -> str:
        if token[0] in ("{{", "}}"):
            return token[0][0]
        return written(values[token[0][1:-1]])

    return _TOKENS.sub(replacement, text)


def written(value: object) -> str:
    """A value as an argument: texts as they are, all else as in JSON (`true`, `1e-05`)."""
    return value if isinstance(value, str) else json.dumps(value)
