"""A config as lines that a POSIX shell can source: `LR=0.01`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

from assay.errors import AssayError
from assay.wire import Value

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def env_lines(config: Mapping[str, Value], prefix: str = "") -> list[str]:
    """One `NAME=value` per parameter, in the config's order.

    Names are upper case; what a shell name may not hold becomes `_`. Booleans are `true` and `false`, numbers as in
    JSON, texts are quoted. Raises AssayError for a prefix that no name may start with, and for two parameters that
    would get the same name.
    """
    if prefix and not _NAME.fullmatch(prefix):
        raise AssayError(f"the prefix {prefix!r} is not the start of a variable's name: use letters, digits and _")
    lines: dict[str, str] = {}
    owner: dict[str, str] = {}
    for parameter, value in config.items():
        name = prefix + re.sub(r"[^A-Z0-9_]", "_", parameter.upper())
        if not _NAME.fullmatch(name):
            name = f"_{name}"
        if name in owner:
            raise AssayError(
                f"the parameters {owner[name]!r} and {parameter!r} would both be called {name}: use --format json"
            )
        owner[name] = parameter
        lines[name] = f"{name}={shlex.quote(value if isinstance(value, str) else json.dumps(value))}"
    return list(lines.values())
