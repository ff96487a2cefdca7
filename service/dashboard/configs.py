"""Configs as texts: to take along, exactly as the command line prints them, and as people type them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

from assay.env_format import env_lines
from assay.errors import AssayError, StudyFileInvalid
from assay.study_file import dump, parse_mapping
from service.problems import Refused
from service.routes.body import decode
from spaces.errors import InvalidInput

MOST_CHARACTERS = 20_000


def config_texts(config: Mapping[str, Any]) -> dict[str, str]:
    """The config by format. `env` is left out when two parameters would get the same variable's name."""
    texts = {}
    with suppress(AssayError):
        texts["env"] = "\n".join(env_lines(config))
    return {**texts, "JSON": json.dumps(config, ensure_ascii=False, indent=2), "YAML": dump(dict(config)).rstrip("\n")}


def read_config(text: str) -> dict[str, Any]:
    """A config from JSON or YAML, as strictly as the API reads one. Raises InvalidInput."""
    if not text:
        raise InvalidInput.at(("config",), "is empty; type one as JSON or YAML")
    if len(text) > MOST_CHARACTERS:  # YAML is read slowly
        raise InvalidInput.at(("config",), f"is longer than {MOST_CHARACTERS} characters; send it to the API")
    try:
        if any(
            isinstance(token, yaml.AliasToken) for token in yaml.scan(text)
        ):  # a few of them make billions of values
            raise InvalidInput.at(("config",), "has an alias (*); write its value out")
        read = parse_mapping(text.encode(), "line", "a config is a mapping: `lr: 0.1`, a parameter per line").study
        checked: dict[str, Any] = decode(json.dumps(read).encode())
    except yaml.YAMLError as error:
        raise InvalidInput.at(("config",), f"is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    except StudyFileInvalid as error:
        raise InvalidInput.at(("config",), str(error)) from error
    except Refused as error:
        raise InvalidInput.at(("config",), error.detail) from error
    return checked
