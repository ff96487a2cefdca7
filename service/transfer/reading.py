"""The lines of a file that somebody sent: that all of it has come, and what each line says. Nothing of it is believed.

What is wrong is told by its line: `line 17: run.state`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.explain import problems_of
from service.problems import Refused
from service.routes.body import MAX_DEPTH, decode
from service.transfer.records import BY_WORD, FORMAT, RECORDS, VERSION, End, Header, Record
from spaces.checks import unknown
from spaces.errors import InvalidInput
from spaces.values import show

# What may be a number, a text or a nesting that is refused: such lines are looked at value by value, which takes long.
_REMARKABLE = re.compile(rb"[0-9]{19}|[eE][+]?[0-9]{3}|\\u(?:0000|[dD][89a-fA-F])")
LONGEST_LINE = 64 * 1024**2
"""In bytes: a study's own, with what it learned from ten others, is the longest."""


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears more than once")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


_PLAIN = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_constant=_no_number)
_PLACES = {record: place for place, record in enumerate(RECORDS)}

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    record: Record

    @property
    def name(self) -> str:
        return f"line {self.number}: {self.record.word}"

    def wrong(self, field: str, message: str) -> InvalidInput:
        return wrong(self.number, message, self.record.word, *([field] if field else []))


def wrong(number: int, message: str, word: str = "", *path: str | int) -> InvalidInput:
    """The error of a line, at a place in it."""
    return InvalidInput.at((f"line {number}{': ' if word else ''}{word}", *path), message)


class StudyFile:
    """An exported study, whose checksum is right. Raises InvalidInput for anything else, as all below."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines, self.sha256 = _checked(path)
        self.header = self._header()

    def records(self, *, again: bool = False) -> Iterator[Line]:
        """What stands between the first line and the last one, by form alone, as many as the header says.

        `again`: all of it was read before, and can be trusted to be JSON as it must be.
        """
        seen: Counter[str] = Counter()
        place = 0
        for number, content in self._content():
            record = _read(number, json.loads(content.decode("utf-8-sig")) if again else decode_line(number, content))
            if _PLACES[type(record)] < place:
                raise wrong(number, f"comes after lines of {RECORDS[place].word!r}, but belongs before", record.word)
            place = _PLACES[type(record)]
            seen[record.word] += 1
            yield Line(number, record)
        for word in BY_WORD:
            if seen[word] != self.header.counts.get(word, 0):
                message = f"says there are {self.header.counts.get(word, 0)}, but {seen[word]} came"
                raise wrong(1, message, "counts", word)

    def _header(self) -> Header:
        with self.path.open("rb") as file:
            given = decode_line(1, file.readline())
        if not isinstance(given, dict) or given.get("format") != FORMAT:
            raise wrong(1, f"must be the header of an exported study: an object with the format {FORMAT!r}")
        version = given.get("version")
        if type(version) is not int or version != VERSION:
            message = f"is {show(version)}, but this service reads version {VERSION}"
            raise wrong(1, message, "version")
        header = _model(Header, given, 1, "")
        for word in header.counts:
            if word not in BY_WORD:
                raise wrong(1, unknown("kind of record", word, BY_WORD), "counts", word)
        return header

    def _content(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            for number in range(1, self.lines + 1):
                content = file.readline()
                if number > 1:
                    yield number, content


def _checked(path: Path) -> tuple[int, str]:
    """How many lines there are before the last one, which says so, and their SHA-256."""
    digest, number, last = sha256(), 0, b""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise wrong(number + 1, f"is longer than {LONGEST_LINE} bytes")
            digest.update(last)
            number, last = number + 1, line
    if number == 0:
        raise InvalidInput.at((), "the file is empty")
    found = decode_line(number, last)
    if not isinstance(found, dict) or list(found) != ["end"]:
        message = "must be the end of an exported study; some of the file is missing, or it is another kind of file"
        raise wrong(number, message)
    end = _model(End, found["end"], number, "end")
    if end.lines != number - 1 or number < 2:
        raise wrong(number, f"there are {number - 1} lines before it, not {end.lines}", "end", "lines")
    if end.sha256 != digest.hexdigest():
        message = f"the lines before it have the SHA-256 {digest.hexdigest()}: something was changed or damaged"
        raise wrong(number, message, "end", "sha256")
    return end.lines, end.sha256


def decode_line(number: int, content: bytes) -> Any:
    """The JSON of a line, as strictly as that of a body."""
    if not _REMARKABLE.search(content) and content.count(b"{") + content.count(b"[") <= MAX_DEPTH:
        try:
            return _PLAIN.decode(content.decode())
        except ValueError:
            pass  # said below, in full
    try:
        return decode(content)
    except Refused as refused:
        raise wrong(number, refused.detail.replace("the body", "the line")) from refused
    except InvalidInput as invalid:
        raise invalid.under(f"line {number}") from invalid


def _read(number: int, given: Any) -> Record:
    word = given.get("record") if isinstance(given, dict) else None
    if not isinstance(word, str) or word not in BY_WORD:
        raise wrong(number, unknown("kind of record", word, BY_WORD), "record")
    record = {name: value for name, value in given.items() if name != "record"}
    return _model(BY_WORD[word], record, number, word)


def _model(model: type[Model], given: Any, number: int, word: str) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False), model)
    root = f"line {number}{': ' if word else ''}{word}"
    raise InvalidInput(problem.under(root) for problem in problems)
