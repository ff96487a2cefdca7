"""The best config as text to take along, exactly as the command line prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from assay.env_format import env_lines
from assay.errors import AssayError
from assay.study_file import dump


def config_texts(config: Mapping[str, Any]) -> dict[str, str]:
    """The config by format. `env` is left out when two parameters would get the same variable's name."""
    texts = {}
    with suppress(AssayError):
        texts["env"] = "\n".join(env_lines(config))
    return {**texts, "JSON": json.dumps(config, ensure_ascii=False, indent=2), "YAML": dump(dict(config)).rstrip("\n")}
