"""Settings come from the environment and from options; mistakes are named as what was set."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings, SettingsInvalid, load_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ASSAY_{name.upper()}", raising=False)


def test_the_database_is_embedded_in_the_data_directory(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/assay.db"
    assert settings.port == 8080
    assert settings.role == "all"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PORT", "9000")
    monkeypatch.setenv("ASSAY_DATABASE_URL", "postgresql://assay@db/assay")
    monkeypatch.setenv("ASSAY_WORKERS", "")
    monkeypatch.setenv("ASSAY_URL", "http://somewhere")  # the client's, not ours

    settings = load_settings()

    assert settings.port == 9000
    assert settings.database_url == "postgresql://assay@db/assay"
    assert settings.workers is None


def test_options_go_before_the_environment_unless_they_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PORT", "9000")
    monkeypatch.setenv("ASSAY_HOST", "0.0.0.0")

    settings = load_settings(port=9001, host=None)

    assert (settings.port, settings.host) == (9001, "0.0.0.0")


def test_every_mistake_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PORT", "http")
    monkeypatch.setenv("ASSAY_POOL", "slurm")
    monkeypatch.setenv("ASSAY_WORKERS", "0")

    with pytest.raises(SettingsInvalid) as caught:
        load_settings()

    assert str(caught.value).split("; ") == [
        'ASSAY_PORT: must be an integer, got "http"',
        "ASSAY_POOL: must be 'ray' or 'local', got \"slurm\"",
        'ASSAY_WORKERS: must be at least 1, got "0"',
    ]
