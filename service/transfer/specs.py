"""What a study in a file says of itself, checked as if it was submitted; but it has to be complete."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from search import StudySpec
from service.explain import problems_of
from service.models import Json
from service.schemas import StudyCreate
from service.specs import read_spec
from service.transfer.reading import Line
from service.transfer.records import StudyRecord
from spaces.checks import unknown
from spaces.errors import InvalidInput, Problem
from spaces.values import show
from workers.objectives import check as check_objective

REQUIRED = ("space", "objective", "metrics", "algorithm", "budget", "resources", "parallelism", "seed")
ELSEWHERE = ("name", "priority", "warm_start")
DATASET_FIELDS = ("name", "sha256", "format", "target")


def read_study(line: Line, study: StudyRecord) -> StudySpec:
    """What the search knows of it. Raises InvalidInput with all that is wrong with any of it."""
    where = f"line {line.number}: study"
    problems = [problem.under(where, "spec") for problem in _problems_of_form(study)]
    if problems:
        raise InvalidInput(problems)
    try:
        search = read_spec({**study.spec, "warm_start": study.sources}, stored=True)
    except InvalidInput as invalid:
        raise InvalidInput(_placed(problem, where) for problem in invalid.problems) from invalid
    if problems := [*check_objective(study.spec), *_of_dataset(study.spec)]:
        raise InvalidInput(problem.under(where, "spec") for problem in problems)
    return search


def _placed(problem: Problem, where: str) -> Problem:
    """A problem of the search's part of a study: what it learns from others is not in the spec."""
    if problem.path[:1] == ("warm_start",):
        return Problem((where, "sources", *problem.path[1:]), problem.message)
    return problem.under(where, "spec")


def _problems_of_form(study: StudyRecord) -> list[Problem]:
    """What is wrong with the types of the spec's fields, as for a study that is submitted; all of it must be there."""
    spec = study.spec
    problems = [Problem((name,), "is required") for name in REQUIRED if spec.get(name) is None]
    problems += [Problem((name,), "is no part of a stored study") for name in ELSEWHERE if name in spec]
    if problems:
        return problems
    try:
        StudyCreate.model_validate({**spec, "name": study.name})
    except ValidationError as error:
        return problems_of(error.errors(include_url=False), StudyCreate)
    return []


def _of_dataset(spec: Json) -> list[Problem]:
    """An uploaded dataset is known by what it is; where it lies is for the service to know that has it."""
    dataset, path = spec["objective"].get("dataset"), ("objective", "dataset")
    if not isinstance(dataset, Mapping):
        return []
    known = [*DATASET_FIELDS]
    problems = [Problem((*path, str(name)), unknown("field", name, known)) for name in dataset if name not in known]
    missing = [Problem((*path, name), "is required") for name in known if name not in dataset]
    texts = [
        Problem((*path, name), f"must be a text, got {show(dataset[name])}")
        for name in known
        if not isinstance(dataset.get(name, ""), str) and not (name == "target" and dataset[name] is None)
    ]
    return [*problems, *missing, *texts]
