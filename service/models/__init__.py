"""The tables. Rows are addressed by the words that users see: a run is (study, number), a trial too.

The composite keys are what makes a double suggestion impossible: two dispatchers that both decide on run 17 collide.
"""

from service.models.access import DEFAULT_PROJECT, DEFAULT_PROJECT_ID, AuditEntry, IdempotencyKey, Project, Token
from service.models.base import Base, Json, UtcDateTime, utcnow
from service.models.files import Artifact, Dataset
from service.models.hooks import Delivery, Webhook
from service.models.jobs import Job
from service.models.studies import (
    Attempt,
    Enqueued,
    Evaluation,
    Event,
    Incumbent,
    Note,
    Report,
    Run,
    Study,
    Trial,
)

__all__ = [
    "DEFAULT_PROJECT",
    "DEFAULT_PROJECT_ID",
    "Artifact",
    "Attempt",
    "AuditEntry",
    "Base",
    "Dataset",
    "Delivery",
    "Enqueued",
    "Evaluation",
    "Event",
    "IdempotencyKey",
    "Incumbent",
    "Job",
    "Json",
    "Note",
    "Project",
    "Report",
    "Run",
    "Study",
    "Token",
    "Trial",
    "UtcDateTime",
    "Webhook",
    "utcnow",
]
