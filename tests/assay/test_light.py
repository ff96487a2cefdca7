"""Importing the package costs next to nothing, and its public surface is what it says."""

import subprocess
import sys

import assay

HEAVY = (
    "httpx", "typer", "click", "rich", "yaml", "pydantic", "numpy", "torch", "ray", "sqlalchemy", "fastapi",
    "spaces", "search", "workers", "service", "migrations", "asyncio", "ssl", "assay.client",
)  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    script = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_import_assay_loads_nothing_heavy() -> None:
    before = loaded_by("pass")  # what the interpreter's own start-up brings

    assert (loaded_by("import assay") - before).isdisjoint(HEAVY)


def test_the_client_and_the_commands_never_load_the_server() -> None:
    modules = loaded_by("import assay.client, assay.cli")

    assert "httpx" in modules
    assert modules.isdisjoint(("numpy", "torch", "ray", "sqlalchemy", "fastapi", "spaces", "search", "service"))


def test_public_names() -> None:
    assert all(getattr(assay, name) is not None for name in assay.__all__)
    assert set(assay.__all__) <= set(dir(assay))
    assert assay.__all__ == sorted(assay.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(assay, "Clinet")
