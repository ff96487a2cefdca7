"""Where the service's files lie, as the settings say."""

from __future__ import annotations

from service.checkpoints import Checkpoints
from service.settings import Settings
from service.store import Store, open_store


def store_of(settings: Settings) -> Store:
    """Raises StorageError when there is nothing to reach the store with; nothing is read or written yet."""
    return open_store(settings.artifacts, settings.data_dir.resolve() / "incoming")


def checkpoints_of(settings: Settings, store: Store) -> Checkpoints:
    return Checkpoints(settings.data_dir.resolve() / "checkpoints", store)
