"""The one place where the light package reaches for the heavy one, and only when the service is started."""

from __future__ import annotations

from pathlib import Path

from assay.errors import AssayError

_OWN = ("service", "workers", "search", "spaces", "migrations")


def up(
    *,
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    pool: str | None,
    workers: int | None,
    database_url: str | None,
    only: str | None,
) -> None:
    """Serves until Ctrl-C or SIGTERM; what is None comes from the environment.

    Raises AssayError when the service is not installed or cannot start.
    """
    try:
        from service.server import StartError, up
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(_OWN):
            raise
        raise AssayError(
            f"the service needs packages that are not installed ({error.name} is missing). "
            "In a checkout of Assay: pip install --constraint constraints.txt '.[server]'"
        ) from error
    try:
        up(
            host=host,
            port=port,
            data_dir=data_dir,
            pool=pool,
            workers=workers,
            database_url=database_url,
            only=only,
        )
    except StartError as error:
        raise AssayError(str(error)) from error
