"""Where settings come from: options of `assay up`, then the environment, then a file, then the defaults.

Secrets may stand in files of their own (`ASSAY_ADMIN_TOKEN_FILE`), as container platforms hand them out. Everything
that is wrong is told at once, each with the place where it was set, and never with the value of a secret.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from service.explain import problems_of
from service.settings import Settings
from spaces.checks import unknown
from spaces.errors import InvalidInput, Problem

PREFIX = "ASSAY_"
CONFIG_FILE = "config_file"
SECRETS = ("admin_token", "database_url")
OF_FILES = {f"{name}_file": name for name in SECRETS}
OPTIONS = {"role": "--only"}
"""The options of `assay up` that are not named like their settings."""
NEAR = 0.85  # how alike a variable must be to a setting to count as a slip of the pen
LARGEST_FILE = 1024**2


class SettingsInvalid(ValueError):
    """Settings are wrong; `problems` has a line for each, which begins with where it was set."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass
class Layer:
    """What one source sets. `places` says for each name where it was set: `ASSAY_PORT`, `assay.toml: port`."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def set(self, name: str, value: Any, place: str) -> None:
        """A setting, or the file that holds a secret."""
        if name not in OF_FILES:
            self.values[name], self.places[name] = value, place
            return
        secret = OF_FILES[name]
        if secret in self.values:
            self.problems.append(f"{place}: {secret} is set beside it ({self.places[secret]}); one of them is enough")
            return
        try:
            text = Path(str(value)).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{place}: cannot be read: {error}")
            return
        if text:
            self.values[secret], self.places[secret] = text, place
        else:
            self.problems.append(f"{place}: {value} is empty")


@dataclass(frozen=True)
class Loaded:
    """The settings, and of those that are not by default where they were set."""

    settings: Settings
    places: Mapping[str, str]
    file: Path | None


def load_settings(config: Path | None = None, **options: Any) -> Settings:
    """The settings of this process. An option that is None sets nothing. Raises SettingsInvalid."""
    return read_settings(config, os.environ, options).settings


def read_settings(config: Path | None, environment: Mapping[str, str], options: Mapping[str, Any]) -> Loaded:
    """The settings that options, environment and file make together. Raises SettingsInvalid with all that is wrong."""
    named = environment.get(f"{PREFIX}{CONFIG_FILE.upper()}")
    file = config or (Path(named) if named else None)
    given = _of_options(options)
    layers = (_of_file(file) if file else Layer(), _of_environment(environment), given)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for layer in layers:
        values |= layer.values
        places |= layer.places
    settings, wrong = _validated(values, places)
    problems = [problem for layer in layers for problem in layer.problems] + wrong
    if problems or settings is None:
        raise SettingsInvalid(problems)
    return Loaded(settings, places, file)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def _of_options(options: Mapping[str, Any]) -> Layer:
    layer = Layer()
    for name, value in options.items():
        if value is not None:
            layer.set(name, value, OPTIONS.get(name, f"--{name.replace('_', '-')}"))
    return layer


def _of_environment(environment: Mapping[str, str]) -> Layer:
    layer = Layer()
    settable = (*Settings.model_fields, *OF_FILES)
    for name in settable:
        if value := environment.get(variable(name)):  # an empty one sets nothing
            layer.set(name, value, variable(name))
    for name in sorted(environment):
        # The prefix is shared with the client, with scripts that are tuned, and with what Kubernetes says of a service
        # named assay: only what looks like a slip of the pen is refused.
        if not name.startswith(PREFIX) or name[len(PREFIX) :].lower() in (*settable, CONFIG_FILE):
            continue
        near = difflib.get_close_matches(name, [variable(known) for known in (*settable, CONFIG_FILE)], 1, NEAR)
        layer.problems += [f"{name}: is no setting; did you mean {match}?" for match in near]
    return layer


def _of_file(path: Path) -> Layer:
    layer = Layer()
    try:
        content = _parsed(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        layer.problems.append(f"{path}: cannot be read: {' '.join(str(error).split())}")
        return layer
    known = (*Settings.model_fields, *OF_FILES)
    # Secrets first, so that a file named beside one is noticed whichever stands first.
    for name, value in sorted(content.items(), key=lambda item: item[0] in OF_FILES):
        if name not in known:
            layer.problems.append(f"{path}: {name}: {unknown('setting', name, known)}")
        elif value not in (None, ""):
            if name in OF_FILES:
                value = path.parent / str(value)
            layer.set(name, value, f"{path}: {name}")
    return layer


def _parsed(path: Path) -> dict[str, Any]:
    """The settings in a file. Raises OSError, ValueError or YAMLError."""
    with path.open("rb") as file:
        text = file.read(LARGEST_FILE + 1).decode()
    if len(text) > LARGEST_FILE:
        raise ValueError("it is too large for a file of settings")
    match path.suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".yaml" | ".yml":
            return dict(_of_yaml(text))
        case _:
            raise ValueError("the name of a file of settings ends with .toml, .yaml or .yml")


def _of_yaml(text: str) -> Iterator[tuple[str, Any]]:
    """YAML whose scalars stay texts, as they are in the environment: `auth: off` is not the boolean false."""
    loader = yaml.BaseLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            raise ValueError("it must be a mapping: one setting per line, name: value")
        seen: set[str] = set()
        for key, value in node.value:
            name = str(loader.construct_object(key, deep=True))
            if name in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: {name} stands twice")
            seen.add(name)
            constructed = loader.construct_object(value, deep=True)
            yield name, None if constructed in ("null", "~") else constructed
    finally:
        loader.dispose()


def _validated(values: dict[str, Any], places: Mapping[str, str]) -> tuple[Settings | None, list[str]]:
    """The settings, or what is wrong with the values: each by itself, and those that are right with one another."""
    try:
        return Settings(**values), []
    except ValidationError as error:
        found, wrong = _problems(error), {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
    if wrong:
        try:
            Settings(**{name: value for name, value in values.items() if name not in wrong})
        except ValidationError as error:
            found += [problem for problem in _problems(error) if problem.path[0] not in wrong]
    return None, [_line(problem, values, places) for problem in found]


def _problems(error: ValidationError) -> list[Problem]:
    found: list[Problem] = []
    for detail in error.errors():
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, InvalidInput):
            found += cause.problems
        elif detail["type"] != "default_factory_not_called":  # follows from another one
            found += problems_of([detail], Settings)
    return found


def _line(problem: Problem, values: Mapping[str, Any], places: Mapping[str, str]) -> str:
    name = str(problem.path[0])
    place = places.get(name, variable(name))
    message = problem.message
    if name in SECRETS and len(text := str(values.get(name, ""))) and text in message:
        message = "is not valid"
    if name == "port" and str(values.get(name)).startswith("tcp://"):
        message += "; Kubernetes sets this for a service named assay: set enableServiceLinks: false in the pod"
    return f"{place}: {message}"
