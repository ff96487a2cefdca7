"""Files that are no rows: uploaded datasets, and what runs leave behind. The rows say what there is, and are the truth.

    store = open_store("assay-data/artifacts")              # or s3://bucket/prefix
    with store.incoming(limit=10**9) as file:               # counted and hashed while it comes in
        file.write(chunk)
        file.finish()
        store.put(file.path, key)                           # there as a whole, or not at all

Keys are made here (`service.store.keys`), never by users. A file without a row is garbage, which `service.store.sweep`
removes: so a crash may leave too much, and never too little.
"""

from __future__ import annotations

from pathlib import Path

from service.store.base import Store
from service.store.folder import FolderStore
from service.store.incoming import Incoming, TooLarge
from service.store.remote import RemoteStore
from workers.storage import Entry, Missing, StorageError, is_folder

__all__ = [
    "Entry",
    "FolderStore",
    "Incoming",
    "Missing",
    "RemoteStore",
    "StorageError",
    "Store",
    "TooLarge",
    "open_store",
]


def open_store(url: str, scratch: Path) -> Store:
    """The store at a folder or an address for fsspec. `scratch` is a folder for what is on its way to another machine.

    Nothing is read or written yet. Raises StorageError when there is nothing to reach such an address with.
    """
    if is_folder(url):
        return FolderStore(Path(url.removeprefix("file://")).absolute())
    return RemoteStore(url, scratch)
