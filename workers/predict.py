"""Answers of a model to inputs in a file, as lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workers.data.uploaded import encoded, read_columns, scaled
from workers.model_file import Model, ModelFileError, read_model


def predict(model: Path, data: Path, remark: Callable[[str], None] = lambda _: None) -> list[str]:
    """A header and a line per input. Raises ModelFileError when the model or the inputs cannot be used; `remark` is
    told what makes the answers doubtful."""
    found = read_model(model)
    inputs = _inputs(found, data)
    if doubt := _far_off(found, inputs):
        remark(f"{data}: {doubt}")
    answers = found.predict(torch.from_numpy(inputs)).flatten(1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if found.card["facts"]["task"] == "classification":
        labels = (found.card.get("table") or {}).get("classes") or list(range(answers.shape[1]))
        writer.writerow(["class", *(f"p({label})" for label in labels)])
        writer.writerows([labels[int(row.argmax())], *(f"{p:.6g}" for p in row.tolist())] for row in answers)
    else:
        writer.writerow([f"y{index}" for index in range(answers.shape[1])])
        writer.writerows([f"{value:.6g}" for value in row.tolist()] for row in answers)
    return text.getvalue().splitlines()


def _far_off(model: Model, inputs: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> str:
    """What is said of inputs on another scale than those that the model has seen; nothing of others."""
    seen = model.card.get("seen")
    known = inputs[np.isfinite(inputs)] if inputs.dtype.kind == "f" else inputs
    if seen is None or not known.size:
        return ""
    low, high = seen
    least, most, width = float(known.min()), float(known.max()), high - low
    if least >= low - width and most <= high + width:
        return ""
    given = f"the values go from {least:.4g} to {most:.4g}"
    return f"{given}, those that the model was trained on from {low:.4g} to {high:.4g}: is the scale the same?"


def _inputs(model: Model, data: Path) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    shape = tuple(model.card["facts"]["shape"])
    try:
        array = _table(model, data) if model.card.get("table") else _npz(data) if data.suffix == ".npz" else _csv(data)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(f"{data} cannot be read: {error}") from error
    given = int(np.prod(array.shape[1:]))
    if given != int(np.prod(shape)):
        wanted = "×".join(map(str, shape)) or "1"
        raise ModelFileError(f"{data} has {given} values per input; the model reads {wanted}")
    names = model.card["facts"]["inputs"] in ("text", "graph", "ratings")
    return array.reshape(-1, *shape).astype(np.int64 if names else np.float32)


def _table(model: Model, data: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Rows of the table that the model was trained on: columns are found by their names."""
    columns = model.card["table"]["columns"]
    return encoded(columns, read_columns(data, "parquet" if data.suffix == ".parquet" else "csv", columns))


def _npz(data: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    with np.load(data, allow_pickle=False) as arrays:
        if "inputs" not in arrays:
            raise ValueError(f"it has no array 'inputs', only {', '.join(arrays)}")
        inputs = np.asarray(arrays["inputs"])
    if inputs.dtype.kind not in "biuf":
        raise ValueError(f"the array 'inputs' holds {inputs.dtype}, and no numbers")
    return scaled(inputs)


def _csv(data: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    with data.open(newline="", encoding="utf-8") as file:
        rows = [(line, row) for line, row in enumerate(csv.reader(file), 1) if row]
    if rows and not _numeric(rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise ValueError("it has no rows of numbers")
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise ValueError(f"line {line} has {len(row)} values, the lines before have {width}")
    return np.array([[_number(text, line, i) for i, text in enumerate(row, 1)] for line, row in rows], dtype=np.float64)


def _number(text: str, line: int, column: int) -> float:
    try:
        return float(text) if text else np.nan
    except ValueError:
        raise ValueError(f"line {line}, column {column} holds {text!r}, and no number") from None


def _numeric(row: list[str]) -> bool:
    try:
        [float(value) for value in row if value]
    except ValueError:
        return False
    return True
