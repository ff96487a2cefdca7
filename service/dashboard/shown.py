"""What a page shows, read in one transaction: the API's own objects, as the plain JSON that templates take."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import BaseModel

from search import Metric
from service import schemas, views
from service.dashboard.configs import config_texts
from service.dashboard.listing import Listing
from service.database import Session
from service.repositories.dashboard import DashboardReads
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import cut

STUDIES_PER_PAGE = 50
TRIALS_PER_PAGE = 50

Context = dict[str, Any]


class ShownStudy:
    """Raises NotFound when there is no study of that name."""

    def __init__(self, session: Session, name: str) -> None:
        self.row = Studies(session).get(name)
        self.runs = Runs(session)
        self.reads = DashboardReads(session, self.row.id)

    @cached_property
    def study(self) -> schemas.Study:
        return views.study(self.runs, self.row)

    @cached_property
    def json(self) -> Context:
        return _json(self.study)

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
            "trials": [_json(views.trial(trial, runs)) for trial, runs in page.trials],
            "maximize": maximize,
            "next": page.next,
        }


def study_list(session: Session, after: int | None) -> Context:
    """One page of studies, newest first."""
    rows, following = cut(Studies(session).page(STUDIES_PER_PAGE + 1, after), STUDIES_PER_PAGE, lambda row: row.id)
    return {
        "studies": [_json(study) for study in views.studies(Runs(session), rows)],
        "after": after,
        "next": following,
        "part_url": f"/parts/studies?after={after}" if after else "/parts/studies",
    }


def _json(shown: BaseModel) -> Context:
    return shown.model_dump(mode="json", by_alias=True)
