"""The keys of a store. They are unique for ever: what a key once held is never replaced by something else.

datasets/<project id>/<hex>.<format>
artifacts/<study id>/<run>-<attempt>/<hex>
logs/<study id>/<run>-<attempt>.log
checkpoints/<study id>/<run>-<attempt>        of the pool, where the store is on other machines
"""

from __future__ import annotations

import re
import uuid

DATASETS = "datasets"
ARTIFACTS = "artifacts"
LOGS = "logs"
CHECKPOINTS = "checkpoints"


def new_dataset(project_id: int, format_: str) -> str:
    return f"{DATASETS}/{project_id}/{uuid.uuid4().hex}.{format_}"


def new_artifact(study_id: int, run: int, attempt: int) -> str:
    return f"{ARTIFACTS}/{study_id}/{run:06d}-{attempt}/{uuid.uuid4().hex}"


def log(study_id: int, run: int, attempt: int) -> str:
    return f"{LOGS}/{study_id}/{run:06d}-{attempt}.log"


def attempt_of_log(key: str) -> tuple[int, int, int] | None:
    """The study's id, run and attempt that the key of a log names."""
    found = re.fullmatch(rf"{LOGS}/([0-9]+)/([0-9]+)-([0-9]+)\.log", key)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
