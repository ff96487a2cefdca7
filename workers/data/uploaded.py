"""Uploaded datasets as rows of the catalogue: what a study may train on them follows from their columns. Torch-free.

A table (CSV, Parquet) needs a target column; all others are features. Numbers and booleans are one feature each, texts
with at most 50 values one per value. Arrays (NPZ) are `inputs` [examples, ...] and `targets`.

    target: text, bool, or whole numbers with at most 50 values -> classification
    target: any other number -> regression and uncertainty
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spaces.errors import InvalidInput, Problem
from workers.data.source import Array, Source
from workers.rows import Dataset, Inputs

PATH = ("objective", "dataset")
MOST_CLASSES = 50
NUMBERS = ("bool", "int", "float")
LEAST_EXAMPLES = 10

Column = Mapping[str, Any]  # of the dataset's schema: name, type, missing, distinct, categories, shape


def row_of(reference: Mapping[str, Any]) -> Dataset:
    """`reference` is the dataset as a study stores it: {name, sha256, format, target, rows, columns}.

    Raises InvalidInput where nothing can be trained on it.
    """
    if "columns" not in reference:
        raise InvalidInput.at(PATH, f"{reference.get('name')!r} is not among the datasets here")
    columns = {column["name"]: column for column in reference["columns"]}
    arrays = reference["format"] == "npz"
    target = columns.get("targets") if arrays else columns.get(reference["target"] or "")
    if arrays and ("inputs" not in columns or target is None):
        raise InvalidInput.at(PATH, f"needs arrays inputs and targets; it has {', '.join(columns)}")
    if target is None:
        raise InvalidInput.at(PATH, "has no target column: upload it again with --target")
    if arrays and target["missing"]:
        raise InvalidInput.at(PATH, "the array targets has missing values: leave those examples out")
    examples = target["shape"][0] if arrays and target["shape"] else reference["rows"] - target["missing"]
    if examples < LEAST_EXAMPLES:
        raise InvalidInput.at(PATH, f"has {examples} rows with a target; at least {LEAST_EXAMPLES} are needed")
    tasks, outputs = _tasks(target)
    inputs, shape = _array(columns["inputs"], target) if arrays else _table(features(reference))
    return Dataset(
        name=reference["name"],
        title=f"uploaded, {reference['format']}",
        tasks=tasks,
        inputs=inputs,
        shape=shape,
        outputs=outputs,
        examples=examples,
        licence="the uploader's",
        source=f"uploaded, SHA-256 {reference['sha256']}",
        loader="workers.data.uploaded:load",
        sha256=reference["sha256"],
        splitting="stratified" if tasks[0] == "classification" else "random",
        place=json.dumps(reference, sort_keys=True),
    )


def features(reference: Mapping[str, Any]) -> list[Column]:
    """The columns that are read, in their order. Raises InvalidInput for one that cannot be."""
    found = [column for column in reference["columns"] if column["name"] != reference["target"]]
    problems = [
        Problem(
            PATH,
            f"column {column['name']!r} is {column['type']}"
            + (" with too many values" if column["type"] == "text" else "")
            + ": features are numbers, booleans, or texts with at most 50 values; leave it out of the file",
        )
        for column in found
        if column["type"] not in NUMBERS and not (column["type"] == "text" and column["categories"])
    ]
    if problems or not found:
        raise InvalidInput(problems or [Problem(PATH, "has no column beside the target")])
    return found


def load(place: str) -> Source:
    """All rows with a target, in the order of the file."""
    from workers.storage import dataset_path

    reference = json.loads(place)
    path = dataset_path(reference)
    if reference["format"] == "npz":
        with np.load(path, allow_pickle=False) as arrays:
            inputs, target = np.asarray(arrays["inputs"]), np.asarray(arrays["targets"])
        inputs = scaled(inputs)
    else:
        columns = read_columns(path, reference["format"], reference["columns"])
        inputs = encoded(features(reference), columns)
        target = columns[reference["target"]]
    kept = np.array([value is not None and value == value for value in target.tolist()])
    row = row_of(reference)
    inputs = inputs[kept].astype(np.float32).reshape(-1, *row.shape)
    return Source(inputs, _targets(row, target[kept]))


def table_of(row: Dataset) -> dict[str, Any] | None:
    """What a model of an uploaded table must know to read other rows of it: the feature columns, and the classes of the
    target. None for any other dataset."""
    if not row.place:
        return None
    reference = json.loads(row.place)
    if reference["format"] == "npz":
        return None
    return {"columns": features(reference), "target": reference["target"], "classes": _classes(row, reference)}


def _classes(row: Dataset, reference: Mapping[str, Any]) -> list[Any] | None:
    from workers.storage import dataset_path

    if "classification" not in row.tasks:
        return None
    target = reference["target"]
    column = [each for each in reference["columns"] if each["name"] == target]
    values = read_columns(dataset_path(reference), reference["format"], column)[target].tolist()
    return sorted({value for value in values if value is not None})


def scaled(inputs: Array) -> Array:
    """Images of bytes, from 0 to 1; anything else as it is."""
    return inputs / 255 if inputs.dtype == np.uint8 and inputs.ndim > 2 else inputs


def encoded(columns: Sequence[Column], values: Mapping[str, Array]) -> Array:
    """[rows, features] float64: numbers as they are, texts as one feature per category; NaN where a value is missing,
    or is a text that the training examples did not have."""
    parts: list[Array] = []
    for column in columns:
        raw = values[column["name"]]
        if column["type"] in NUMBERS:
            parts.append(np.array([np.nan if value is None else float(value) for value in raw.tolist()])[:, None])
        else:
            categories = sorted(column["categories"])
            hot = np.array([[value == category for category in categories] for value in raw.tolist()], dtype=np.float64)
            hot[~hot.any(axis=1)] = np.nan  # missing, or never seen in training
            parts.append(hot)
    return np.concatenate(parts, axis=1)


def read_columns(path: Any, format_: str, columns: Sequence[Column]) -> Mapping[str, Array]:
    """These columns of a table, of the types that they were found to have, as arrays of Python values; None where they
    are missing. Raises ValueError where the file has other columns or values."""
    names = [column["name"] for column in columns]
    if format_ == "csv":
        import pyarrow as pa
        from pyarrow import csv

        kinds = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
        types = {column["name"]: kinds[column["type"]] for column in columns if column["type"] in kinds}
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(strings_can_be_null=True, include_columns=names, column_types=types),
        )
    else:
        from pyarrow import parquet

        table = parquet.read_table(path, columns=names)
    return {name: np.array(table.column(name).to_pylist(), dtype=object) for name in names}


def _targets(row: Dataset, values: Array) -> Array:
    if "classification" in row.tasks:
        classes = {value: index for index, value in enumerate(sorted(set(values.tolist())))}
        return np.array([classes[value] for value in values.tolist()], dtype=np.int64)
    return values.astype(np.float32).reshape(len(values), -1)


def _tasks(target: Column) -> tuple[tuple[str, ...], int]:
    distinct, shape = target["distinct"], target["shape"]
    few = distinct is not None and 2 <= distinct <= MOST_CLASSES
    if target["type"] in ("text", "bool", "int") and few:
        return ("classification",), int(distinct)
    if target["type"] in ("int", "float"):
        width = int(np.prod(shape[1:])) if shape else 1
        return ("regression", "uncertainty") if width == 1 else ("regression",), width
    raise InvalidInput.at(
        PATH,
        f"target {target['name']!r} is {target['type']} with {distinct or 'over 1000'} values: "
        f"it must be a number, or have 2 to {MOST_CLASSES} values to be classes",
    )


def _table(columns: Sequence[Column]) -> tuple[Inputs, tuple[int, ...]]:
    width = sum(1 if column["type"] in NUMBERS else len(column["categories"]) for column in columns)
    return "table", (width,)


def _array(inputs: Column, targets: Column) -> tuple[Inputs, tuple[int, ...]]:
    if inputs["type"] not in NUMBERS:
        raise InvalidInput.at(PATH, f"the array inputs holds {inputs['type']}; it must hold numbers")
    shape, other = tuple(inputs["shape"]), tuple(targets["shape"])
    if not other or shape[0] != other[0]:
        raise InvalidInput.at(PATH, f"inputs and targets must have as many examples; their shapes are {shape}, {other}")
    match shape[1:]:
        case (features,):
            return "table", (features,)
        case (steps, features):
            return "sequence", (steps, features)
        case (channels, height, width):
            return "image", (channels, height, width)
        case _:
            raise InvalidInput.at(
                PATH,
                f"inputs has the shape {shape}; it must be [examples, features], [examples, steps, features] or "
                "[examples, channels, height, width]",
            )
