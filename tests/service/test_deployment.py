"""docker-compose.yml and Dockerfile, as far as that can be checked without Docker: what they set is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings
from service.settings_sources import OF_FILES, read_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "assay"]
SECRETS = {
    "database_url": "postgresql://assay:not-a-password@postgres/assay",
    "admin_token": "not-a-token-but-long-enough",
    "postgres_password": "not-a-password",
}


def environment(name: str) -> dict[str, str]:
    return dict(SERVICES[name].get("environment") or {})


def named(kind: str) -> set[str]:
    """Networks, secrets or volumes that services use."""
    found = [entry for service in SERVICES.values() for entry in service.get(kind) or ()]
    return {entry.partition(":")[0] for entry in found if not entry.startswith(("./", "/"))}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    settable = {f"ASSAY_{setting}".upper() for setting in (*Settings.model_fields, *OF_FILES)}

    assert {variable for variable in environment(name) if variable.startswith("ASSAY_")} <= settable


@pytest.mark.parametrize("name", ["api", "dispatcher"])
def test_the_settings_are_valid_together(name: str, tmp_path: Path) -> None:
    given = environment(name)
    for secret in SERVICES[name]["secrets"]:
        (tmp_path / secret).write_text(SECRETS[secret])
    for variable, value in given.items():
        given[variable] = value.replace("/run/secrets", str(tmp_path))
    words = SERVICES[name]["command"].split()
    options = {"role": words[words.index("--only") + 1]}
    if "--host" in words:
        options["host"] = words[words.index("--host") + 1]

    settings = read_settings(None, given, options).settings

    assert settings.database_url == SECRETS["database_url"]
    if settings.serves_http:
        assert settings.auth_on
        assert not settings.commands_allowed


@pytest.mark.parametrize("kind", ["networks", "secrets", "volumes"])
def test_what_is_named_is_declared(kind: str) -> None:
    assert named(kind) == set(COMPOSE[kind])


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith("ray")])
def test_what_runs_the_code_of_users_knows_no_secrets(name: str) -> None:
    service = SERVICES[name]

    assert service["user"] == "worker"
    assert not service.get("secrets")
    assert not [variable for variable in environment(name) if "URL" in variable or "TOKEN" in variable]
    assert service["networks"] == ["ray"], "it reaches neither the database nor the API"
    assert "useradd --create-home --uid 1001 --gid assay worker" in (ROOT / "Dockerfile").read_text()


def test_everything_that_answers_is_asked_whether_it_is_well() -> None:
    assert [name for name, service in SERVICES.items() if "healthcheck" not in service] == ["proxy"]


def test_the_image_has_all_packages() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))

    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert copied == packages - {"benchmarks", "tests"}
