"""What a page shows, read in one transaction: the API's own objects, as the plain JSON that templates take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from search import Metric
from search.history import RunState
from service import schemas, views
from service.architecture_schemas import Trust
from service.dashboard.cells import pictures
from service.dashboard.configs import config_texts
from service.dashboard.descents import descends, descent
from service.dashboard.listing import Listing
from service.dashboard.sketches import polyline, scatter
from service.dashboard.supernets import progress
from service.dashboard.viewers import Viewer
from service.database import Session
from service.models import Run, Trial
from service.repositories.dashboard import DashboardReads, mark_of
from service.repositories.jobs import Jobs
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.revisions import proposal
from service.routes.architectures import architecture_of, described
from service.routes.jobs import shown as shown_job
from service.routes.jobs import told
from service.routes.parameters import cut
from service.routes.revisions import told as told_proposal
from service.states import StudyState
from spaces.architectures import Architecture
from workers.jobs import kinds_of

STUDIES_PER_PAGE = 50
TRIALS_PER_PAGE = 50
MOST_NOTES = 50
MOST_WISHES = 50

Context = dict[str, Any]


class ShownStudy:
    """Raises NotFound when there is no study of that name."""

    def __init__(self, session: Session, project_id: int, name: str) -> None:
        self.row = Studies(session, project_id).get(name)
        self.runs = Runs(session)
        self.reads = DashboardReads(session, self.row.id)

    @cached_property
    def study(self) -> schemas.Study:
        return views.study(self.runs, self.row)

    @cached_property
    def json(self) -> Context:
        return as_json(self.study)

    @property
    def objectives(self) -> list[str]:
        """The names of the metrics that are optimised."""
        return [metric["name"] for metric in self.study.metrics if Metric(**metric).is_objective]

    def overview(self) -> Context:
        best = self.study.best
        return {
            "study": self.json,
            "config_texts": config_texts(best.config) if best else {},
        }

    def table(self, listing: Listing) -> Context:
        maximize = self.study.metrics[0]["direction"] == "maximize"
        page = self.reads.trials(
            listing.sort, TRIALS_PER_PAGE, maximize=maximize, state=listing.state, after=listing.after
        )
        return {
            "listing": listing,
            "objectives": self.objectives,
            "trials": [shown_trial(trial, runs) for trial, runs in page.trials],
            "maximize": maximize,
            "next": page.next,
        }

    def jobs(self, viewer: Viewer) -> Context:
        """The checks and what they propose, the last finalization, and whether the viewer may ask for one or end it."""
        jobs = Jobs(self.runs.session)
        found = jobs.of(self.row.id)
        number = max((job.finalization for job in found), default=0)
        parts = [job for job in found if job.finalization == number] if number else []
        final = told(self.row, number, parts) if number else None
        over = StudyState(self.row.state).finished and (final is None or final.state != "running")
        return {
            "checks": [as_json(shown_job(job)) for job in found if job.finalization == 0],
            "proposal": as_json(told_proposal(proposal(self.runs.session, self.row))) if viewer.may_write else None,
            "final": as_json(final) if final else None,
            "progress": {"parts": len(parts), "ended": sum(RunState(job.state).finished for job in parts)},
            "may_cancel_final": bool(final and final.state == "running" and viewer.may_write),
            "may_finalize": bool(
                over and viewer.may_write and self.row.standing and kinds_of(self.row.spec["objective"])
            ),
            "polyline": polyline,
        }

    @cached_property
    def architecture(self) -> Architecture | None:
        return architecture_of(self.row)

    def found(self, trust: Trust | None) -> Context:
        """What architecture search has found: the best trial's cells, and of a one-shot study how the supernet does and
        whether to trust it."""
        best = self.study.best
        return {
            "searched": self.architecture is not None,
            "cell": self.cell(best.trial, best.config) if best else None,
            "supernet": progress(self.reads, self.study, self.architecture) if self.architecture else None,
            "trust": as_json(trust) if trust else None,
            "scatter": scatter(trust.pairs) if trust else None,
        }

    def tuned(self) -> Context:
        """Where hyperparameters that descend have come to."""
        return {"descends": descends(self.study), "descent": descent(self.reads, self.study)}

    def cell(self, trial: int, config: Mapping[str, Any]) -> Context | None:
        """The architecture of a trial, with its drawings; None where the space has none."""
        if self.architecture is None:
            return None
        told = as_json(described(self.architecture, trial, config))
        return told | {"pictures": pictures(told["drawing"])}

    def amendments(self) -> Context:
        """What people added: the newest of it."""
        wishes = self.reads.wishes(MOST_WISHES + 1)
        return {
            "wishes": [{"number": wish.row.number, "config": wish.row.config, "run": wish.run} for wish in wishes],
            "most_wishes": MOST_WISHES,
            **self.notes(),
        }

    def notes(self, trial: int | None = None) -> Context:
        return {"notes": self.reads.notes(MOST_NOTES + 1, trial), "most_notes": MOST_NOTES}


def shown_trial(row: Trial, runs: Sequence[Run]) -> Context:
    """As the API has it, with its mark."""
    trial = views.trial(row, runs)
    return as_json(trial) | {"mark": mark_of(trial.origin, invalidated=trial.invalidated is not None)}


def study_list(session: Session, project_id: int, after: int | None) -> Context:
    """One page of studies, newest first."""
    found = Studies(session, project_id).page(STUDIES_PER_PAGE + 1, after)
    rows, following = cut(found, STUDIES_PER_PAGE, lambda row: row.id)
    return {
        "studies": [as_json(study) for study in views.studies(Runs(session), rows)],
        "after": after,
        "next": following,
        "part_url": f"/parts/studies?after={after}" if after else "/parts/studies",
    }


def as_json(shown: BaseModel) -> Context:
    """As templates take it."""
    return shown.model_dump(mode="json", by_alias=True)
