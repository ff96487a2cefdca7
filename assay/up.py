"""The one place where the light package reaches for the heavy one, and only when a command is about the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import AssayError

if TYPE_CHECKING:
    from service.doctor import Finding

_OWN = ("service", "workers", "search", "spaces", "migrations")


def up(config: Path | None = None, **settings: object) -> None:
    """Serves until Ctrl-C or SIGTERM; settings that are None come from the environment or the file `config`.

    Raises AssayError when the service is not installed or cannot start.
    """
    with _installed():
        from service.server import StartError, up
    try:
        up(config=config, **settings)
    except StartError as error:
        raise AssayError(str(error)) from error


def doctor(config: Path | None = None, *, ray: bool = False, **settings: object) -> Sequence[Finding]:
    """What is well with the service's installation and settings, and what is not; with `ray` that takes a minute.

    Raises AssayError when the service is not installed.
    """
    with _installed():
        from service.doctor import examine
    return examine(config, settings, ray=ray)


def predict(model: Path, data: Path, remark: Callable[[str], None] = lambda _: None) -> Sequence[str]:
    """The answers of a model to the inputs in a file, as lines of CSV; `remark` is told what makes them doubtful.

    Raises AssayError.
    """
    with _installed():
        from workers.model_file import ModelFileError
        from workers.predict import predict as answer
    try:
        return answer(model, data, remark)
    except ModelFileError as error:
        raise AssayError(str(error)) from error


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(_OWN):
            raise
        raise AssayError(
            f"the service needs packages that are not installed ({error.name} is missing). "
            "In a checkout of Assay: pip install --constraint constraints.txt '.[server]'"
        ) from error
