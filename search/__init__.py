"""What to try next: search as a pure function of a study's history."""

from search.actions import Done, Wait
from search.algorithms import ALGORITHMS, Algorithm
from search.engine import ask, ask_many
from search.history import Added, Ended, Event, History, Outcome, Run, RunState, Slot
from search.ledger import Spent, spent
from search.optimizer import Best, Optimizer
from search.options import Option
from search.results import Invalid, best, incumbents, judge, metrics_of
from search.spec import AlgorithmSpec, Budget, Metric, StudySpec
from search.streams import stream

__all__ = [
    "ALGORITHMS",
    "Added",
    "Algorithm",
    "AlgorithmSpec",
    "Best",
    "Budget",
    "Done",
    "Ended",
    "Event",
    "History",
    "Invalid",
    "Metric",
    "Optimizer",
    "Option",
    "Outcome",
    "Run",
    "RunState",
    "Slot",
    "Spent",
    "StudySpec",
    "Wait",
    "ask",
    "ask_many",
    "best",
    "incumbents",
    "judge",
    "metrics_of",
    "spent",
    "stream",
]
