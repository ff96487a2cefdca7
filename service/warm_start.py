"""Warm starts: from the names of finished studies to what they found.

The results are copied into the new study, so that its decisions can be derived again whatever becomes of the others.
Studies that have ended do not change, so they may be read long before the new one is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from search import as_source
from service.models import Json
from service.repositories.errors import NotFound
from service.repositories.studies import Studies
from service.states import StudyState
from service.tracking import stored_history
from spaces.errors import InvalidInput, Problem


def resolved(studies: Studies, names: Sequence[str], problems: list[Problem]) -> list[Json]:
    """What `StudySpec.from_json` takes as `warm_start`, one entry per name; what is wrong is added to `problems`.

    Studies that failed or were cancelled may have results too; one that goes on is refused, because what it finds later
    would be missing without a word.
    """
    sources = []
    for index, name in enumerate(names):
        try:
            sources.append(_source(studies, name))
        except (NotFound, InvalidInput) as error:
            problems.append(Problem(("warm_start", index), str(error)))
            sources.append({"study": name, "configs": []})
    return sources


def _source(studies: Studies, name: str) -> Json:
    study = studies.get(name)
    if not StudyState(study.state).finished:
        message = f"study {name!r} is {study.state}: wait until it has ended, or cancel it"
        raise InvalidInput.at((), message)
    return as_source(name, stored_history(studies.session, study))
