"""Where the packed tables and models lie.

The folder is named by ASSAY_BENCH_DATA, by default `../shared/data` beside the repository. Its parts: `tables/*.npz`
(complete tables of trained configs), `yahpo/` (surrogate models in ONNX).
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.tasks.task import Missing

VARIABLE = "ASSAY_BENCH_DATA"
DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "data"


def data_file(*parts: str) -> Path:
    """A file of the data folder. Raises Missing when the folder or the file is not there."""
    folder = Path(os.environ.get(VARIABLE) or DEFAULT)
    if not folder.is_dir():
        raise Missing(f"no data: {folder} is no folder (set {VARIABLE} to the folder of the packed tables)")
    path = folder.joinpath(*parts)
    if not path.is_file():
        raise Missing(f"{'/'.join(parts)} is not in the data folder {folder}")
    return path
