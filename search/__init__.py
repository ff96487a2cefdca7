"""What to try next: search as a pure function of a study's history."""

from search.actions import Done, Wait
from search.algorithms import ALGORITHMS, Algorithm
from search.by_hand import enqueue, invalidate, told
from search.engine import ask, ask_many, should_stop
from search.history import (
    Added,
    Ended,
    Enqueued,
    Event,
    History,
    Invalidated,
    Outcome,
    Reported,
    Run,
    RunState,
    Slot,
)
from search.ledger import Spent, spent
from search.lineage import Segment, schedule
from search.metrics import Metric
from search.multi import contenders, hypervolume, pareto_front, reference_point
from search.optimizer import Best, Optimizer
from search.options import Option
from search.replicates import Replicates
from search.results import (
    Invalid,
    Standing,
    best,
    confirmed,
    incumbents,
    judge,
    judged,
    metrics_of,
    reported,
    standing,
)
from search.sources import Source, as_source
from search.spec import AlgorithmSpec, Budget, StopSpec, StudySpec
from search.stopping import Stop
from search.stopping.table import STOPPING_RULES, StoppingRule
from search.streams import stream

__all__ = [
    "ALGORITHMS",
    "STOPPING_RULES",
    "Added",
    "Algorithm",
    "AlgorithmSpec",
    "Best",
    "Budget",
    "Done",
    "Ended",
    "Enqueued",
    "Event",
    "History",
    "Invalid",
    "Invalidated",
    "Metric",
    "Optimizer",
    "Option",
    "Outcome",
    "Replicates",
    "Reported",
    "Run",
    "RunState",
    "Segment",
    "Slot",
    "Source",
    "Spent",
    "Standing",
    "Stop",
    "StopSpec",
    "StoppingRule",
    "StudySpec",
    "Wait",
    "as_source",
    "ask",
    "ask_many",
    "best",
    "confirmed",
    "contenders",
    "enqueue",
    "hypervolume",
    "incumbents",
    "invalidate",
    "judge",
    "judged",
    "metrics_of",
    "pareto_front",
    "reference_point",
    "reported",
    "schedule",
    "should_stop",
    "spent",
    "standing",
    "stream",
    "told",
]
