"""Forms: what a browser sends, and what is shown beside it when it cannot be taken.

They work without scripts: a form that is taken leads back to its page, one that is not comes again with what was typed
and what is wrong with it. Other sites cannot send any (`service.origin`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request
from pydantic import ValidationError

from service.auth.callers import caller_of
from service.explain import problems_of
from service.problems import MALFORMED, Kind, Refused
from service.repositories.errors import NameTaken, NotFound
from service.routes.body import content_of
from service.states import NotAllowed
from spaces.errors import InvalidInput, Problem

MOST_FIELDS = 50
ANOTHER_PROJECT = Kind("urn:assay:another-project", 409, "Another project has been chosen")


class Form:
    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """What was typed, without blanks around it; nothing for a field that is not there."""
        return self.all(name)[-1].strip() if self.all(name) else ""

    def all(self, name: str) -> Sequence[str]:
        return self._fields.get(name, ())

    @property
    def texts(self) -> Mapping[str, str]:
        return {name: self.text(name) for name in self._fields}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A form that could not be taken: which one of the page, what was typed, and what is wrong with it."""

    form: str
    given: Mapping[str, str]
    problems: Sequence[Problem]
    status: int = 422


async def form_of(request: Request) -> Form:
    """The fields that a browser has sent. Raises Refused for more of them than any form has, and for the character NUL,
    which PostgreSQL does not keep."""
    content = (await content_of(request)).decode("utf-8", "replace")
    try:
        fields = parse_qs(content, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise Refused(MALFORMED, f"a form has at most {MOST_FIELDS} fields") from error
    if any("\0" in text for texts in fields.values() for text in texts):
        raise Refused(MALFORMED, "a field contains the character NUL, which no database can keep")
    return Form(fields)


async def _form_of_page(request: Request) -> Form:
    form, project = await form_of(request), caller_of(request).project
    if form.text("project") != project:
        detail = (
            f"this browser has gone on to the project {project!r} since the page was loaded, in another tab perhaps;"
            " nothing was changed. Choose the project of the page again"
        )
        raise Refused(ANOTHER_PROJECT, detail)
    return form


AnyForm = Annotated[Form, Depends(form_of)]
FormOfPage = Annotated[Form, Depends(_form_of_page)]
"""Of a page that shows one project: it is taken for that project alone."""


def tried(name: str, form: Form, change: Callable[[], object]) -> Wrong | None:
    """Does what the form asks for; answers what is in the way of that."""
    try:
        change()
    except ValidationError as error:
        return Wrong(name, form.texts, problems_of(error.errors()))
    except InvalidInput as error:
        return Wrong(name, form.texts, error.problems)
    except (NameTaken, NotAllowed) as error:
        return Wrong(name, form.texts, [Problem((), str(error))], 409)
    except Refused as error:
        return Wrong(name, form.texts, [Problem((), error.detail)], error.kind.status)
    except NotFound as error:  # what a field names; the page itself is known to be there
        return Wrong(name, form.texts, [Problem((), str(error))])
    return None


def integer(text: str) -> int | str:
    """The number that was typed; anything else stays as it is, for the schema to refuse."""
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else text


def fraction(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
