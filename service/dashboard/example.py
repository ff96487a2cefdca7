"""The study that an empty dashboard offers to start with: the API's own example, short enough to read."""

from __future__ import annotations

import json

import yaml

from service.schemas import EXAMPLE_STUDY


def as_json() -> str:
    """One parameter a line."""
    parts = []
    for key, value in EXAMPLE_STUDY.items():
        if key == "space":
            parameters = ",\n      ".join(json.dumps(parameter) for parameter in value["parameters"])
            fidelity = json.dumps(value["fidelity"])
            text = f'{{\n    "parameters": [\n      {parameters}\n    ],\n    "fidelity": {fidelity}\n  }}'
        else:
            text = json.dumps(value)
        parts.append(f'"{key}": {text}')
    return "{\n  " + ",\n  ".join(parts) + "\n}"


def as_yaml() -> str:
    return yaml.safe_dump(EXAMPLE_STUDY, sort_keys=False, default_flow_style=None, width=100)
