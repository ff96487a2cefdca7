"""Architectures of trials, and whether the supernet that ranked them can be trusted."""

from __future__ import annotations

from fastapi import APIRouter

from search.trust import trust
from service import architecture_schemas as schemas
from service import models
from service.auth.callers import Reader
from service.histories import Seen
from service.problems import documented
from service.repositories.errors import NotFound
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import DatabaseOfApp, HistoriesOfApp, Number, StudyName
from spaces import Space
from spaces.architectures import Architecture, of_space
from spaces.values import Config

router = APIRouter(prefix="/studies/{name}", tags=["architectures"], responses=documented(404, 422))


@router.get("/trials/{number}/architecture", summary="Which architecture is it?")
def get_architecture(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp) -> schemas.Architecture:
    """404 where the space has no architecture, and for the trial of a supernet, which holds all of them."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        architecture = architecture_of(study)
        if architecture is None:
            raise NotFound(f"the space of study {name!r} has no architecture: a parameter of type cell declares one")
        trial, runs = Runs(session).trial(study.id, number)
        if runs[0].kind == "supernet":
            raise NotFound(
                f"trial {number} is that of the supernet, which holds all architectures of the space at once"
            )
        return described(architecture, trial.number, trial.config)


@router.get("/trust", summary="Can the supernet's ranking be trusted?")
def get_trust(name: StudyName, caller: Reader, histories: HistoriesOfApp) -> schemas.Trust:
    """Compares the scores of the ranking with what the same architectures reached when they were trained by themselves.
    404 while no supernet was begun."""
    with histories.see(caller.project_id, name) as seen:
        told = trust_of(seen)
    if told is None:
        raise NotFound(f"study {name!r} has ranked nothing: that is what the algorithms of one-shot search do")
    return told


def architecture_of(study: models.Study) -> Architecture | None:
    """What is searched; None where the space has no architecture."""
    return of_space(Space.from_json(study.spec["space"]))


def described(architecture: Architecture, trial: int, config: Config) -> schemas.Architecture:
    return schemas.Architecture(
        trial=trial,
        name=architecture.name,
        preset=architecture.preset,
        genotype=architecture.genotype(config),
        canonical=architecture.canonical(config),
        objection=architecture.objection(config),
        drawing=schemas.Drawing.model_validate(architecture.drawing(config)),
    )


def trust_of(seen: Seen) -> schemas.Trust | None:
    spec, history = seen.tracked.spec, seen.tracked.history
    told = trust(spec, history)
    if told is None:
        return None
    return schemas.Trust.model_validate(
        {
            "metric": spec.metrics[0].name,
            "verdict": told.verdict,
            "reason": told.reason,
            "kendall": told.kendall,
            "spearman": told.spearman,
            "top_hit": told.top_hit,
            "pairs": told.pairs,
        }
    )
