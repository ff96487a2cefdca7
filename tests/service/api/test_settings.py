"""Settings come from options, the environment and a file; mistakes are named by the place where they were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings import Settings
from service.settings_sources import SettingsInvalid, load_settings, read_settings, variable

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, "config_file", "admin_token_file", "database_url_file"):
        monkeypatch.delenv(variable(name), raising=False)


def refused(config: Path | None = None, environment: dict[str, str] | None = None, **options: Any) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        read_settings(config, environment or {}, options)
    return list(caught.value.problems)


def read(config: Path | None = None, environment: dict[str, str] | None = None, **options: Any) -> Settings:
    return read_settings(config, environment or {}, options).settings


def written(folder: Path, text: str, name: str = "assay.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_database_is_embedded_in_the_data_directory(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/assay.db"
    assert settings.embedded
    assert settings.artifacts == f"{tmp_path}/artifacts"
    assert settings.port == 8080
    assert settings.role == "all"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PORT", "9000")
    monkeypatch.setenv("ASSAY_DATABASE_URL", "postgresql://assay@db/assay")
    monkeypatch.setenv("ASSAY_WORKERS", "")
    monkeypatch.setenv("ASSAY_TRUSTED_HOSTS", "assay.example.org, *.Lab.example.org")
    monkeypatch.setenv("ASSAY_URL", "http://somewhere")  # the client's, not ours
    monkeypatch.setenv("ASSAY_CONFIG", '{"lr": 0.1}')  # a tuned script's

    settings = load_settings()

    assert settings.port == 9000
    assert settings.database_url == "postgresql://assay@db/assay"
    assert not settings.embedded
    assert settings.workers is None
    assert settings.allowed_hosts == ("assay.example.org", "*.lab.example.org")


def test_options_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nhost = "localhost"\nworkers = 3\n')
    environment = {"ASSAY_PORT": "2", "ASSAY_HOST": "127.0.0.9", "ASSAY_CONFIG_FILE": str(file)}

    loaded = read_settings(None, environment, {"port": 3, "host": None})

    assert (loaded.settings.port, loaded.settings.host, loaded.settings.workers) == (3, "127.0.0.9", 3)
    assert loaded.places == {"port": "--port", "host": "ASSAY_HOST", "workers": f"{file}: workers"}


def test_a_yaml_file_means_what_it_says(tmp_path: Path) -> None:
    """To YAML 1.1 `off` is a boolean, and so is `on`; here they are the words that the settings know."""
    text = "auth: off\naccess_log: info\nmetrics_public: yes\nport: 0\nworkers: null\ntrusted_hosts: [a.example, b.c]\n"

    settings = read(written(tmp_path, text, "assay.yaml"))

    assert (settings.auth, settings.access_log, settings.metrics_public, settings.port) == ("off", "info", True, 0)
    assert settings.workers is None
    assert settings.allowed_hosts == ("a.example", "b.c")


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert read(written(tmp_path, "", "empty.yml")) == read()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("assay.toml", "port = ", "cannot be read: Invalid value"),
        ("assay.yaml", "port: [", "cannot be read: while parsing"),
        ("assay.yaml", "- port", "must be a mapping"),
        ("assay.yaml", "port: 1\nhost: localhost\nport: 2\n", "line 3: port stands twice"),
        ("assay.ini", "[assay]", "ends with .toml, .yaml or .yml"),
    ],
)
def test_a_file_that_is_none_of_settings_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    file = written(tmp_path, text, name)

    (problem,) = refused(file)

    assert problem.startswith(f"{file}: cannot be read: ")
    assert says in problem


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = refused(environment={"ASSAY_CONFIG_FILE": str(tmp_path / "none.toml")})

    assert "none.toml: cannot be read: [Errno 2] No such file or directory" in problem


def test_every_mistake_is_named_with_its_place(tmp_path: Path) -> None:
    file = written(tmp_path, 'workers = 0\nprot = 1\nadmin_token = "short-secret"\napi_workers = 2\n')

    problems = refused(file, {"ASSAY_PORT": "http", "ASSAY_POOL": "slurm", "ASSAY_WORKRES": "2"}, auth="never")

    assert problems[0].startswith(f'{file}: prot: unknown setting "prot"; did you mean "port"?')
    assert problems[1] == "ASSAY_WORKRES: is no setting; did you mean ASSAY_WORKERS?"
    assert sorted(problems[2:]) == sorted(
        [
            'ASSAY_PORT: must be an integer, got "http"',
            "ASSAY_POOL: must be 'ray' or 'local', got \"slurm\"",
            f"{file}: workers: must be at least 1, got 0",
            f"{file}: admin_token: must have at least 16 characters; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            "--auth: must be 'auto', 'on' or 'off', got \"never\"",
            f"{file}: api_workers: more than one needs the role api; start a dispatcher beside it",
            f"{file}: api_workers: more than one needs PostgreSQL: set database_url",
        ]
    )


def test_a_wrong_setting_brings_no_problems_of_what_follows_from_it() -> None:
    assert refused(data_dir=3) == ["--data-dir: Input is not a valid path for <class 'pathlib.Path'>"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "assay.example.org"])
def test_beyond_this_machine_nothing_is_served_without_auth(host: str) -> None:
    (problem,) = refused(host=host, auth="off")
    assert problem.startswith(f"--auth: off is refused on {host}")

    assert read(host=host).auth_on
    assert not read(host=host).commands_allowed
    assert read(host=host, auth="off", role="dispatcher").auth_on is False  # it serves nothing


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST"])
def test_on_this_machine_everything_is_allowed_by_default(host: str) -> None:
    settings = read(host=host)

    assert not settings.auth_on
    assert settings.commands_allowed
    assert settings.metrics_open
    assert settings.requests_per_second is None
    assert settings.allowed_hosts is not None
    assert {"localhost", "127.0.0.1", "::1", host.lower()} == set(settings.allowed_hosts)


def test_with_auth_hosts_are_free_and_rates_are_not() -> None:
    settings = read(auth="on")

    assert settings.allowed_hosts is None
    assert settings.requests_per_second == 1000
    assert not settings.metrics_open
    assert read(auth="on", rate_limit="0").requests_per_second is None
    assert read(rate_limit="5").requests_per_second == 5
    assert read(auth="on", metrics_public="true").metrics_open
    assert read(trusted_hosts="*").allowed_hosts is None


def test_metrics_without_auth_stay_on_this_machine_unless_that_is_said() -> None:
    assert refused(role="dispatcher", host="0.0.0.0", metrics_port=9)[0].startswith("--metrics-port: has no auth")
    assert read(role="dispatcher", host="0.0.0.0", metrics_port=9, metrics_public=True).metrics_port == 9
    assert "is the port of the API" in refused(port=9, metrics_port=9)[0]


def test_leases_outlast_two_heartbeats() -> None:
    assert read(lease_seconds=30).renewal_seconds == 10
    assert read(lease_seconds=30, heartbeat_seconds=2).renewal_seconds == 2
    assert "at most half of lease_seconds, 15" in refused(lease_seconds=30, heartbeat_seconds=16)[0]


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    written(tmp_path, f"{TOKEN}\n", "token")
    file = written(tmp_path, 'admin_token_file = "token"\n')  # beside the file that names it

    by_file = read(file)
    by_environment = read(environment={"ASSAY_ADMIN_TOKEN_FILE": str(tmp_path / "token")})

    for settings in (by_file, by_environment):
        assert settings.admin_token is not None
        assert settings.admin_token.get_secret_value() == TOKEN


def test_a_secret_is_set_once_per_source(tmp_path: Path) -> None:
    path = str(written(tmp_path, TOKEN, "token"))
    both = {"ASSAY_ADMIN_TOKEN": TOKEN, "ASSAY_ADMIN_TOKEN_FILE": path}

    assert refused(environment=both) == [
        "ASSAY_ADMIN_TOKEN_FILE: admin_token is set beside it (ASSAY_ADMIN_TOKEN); one of them is enough"
    ]
    file = written(tmp_path, f'admin_token_file = "token"\nadmin_token = "{TOKEN}"\n')
    assert "one of them is enough" in refused(file)[0]
    assert read(file=None, environment={"ASSAY_ADMIN_TOKEN_FILE": path}, admin_token="x" * 20).admin_token


def test_a_file_of_a_secret_that_holds_none_is_named(tmp_path: Path) -> None:
    empty = written(tmp_path, "\n", "empty")
    environment = {"ASSAY_ADMIN_TOKEN_FILE": str(empty), "ASSAY_DATABASE_URL_FILE": str(tmp_path / "none")}

    problems = refused(environment=environment)

    assert problems[0] == f"ASSAY_ADMIN_TOKEN_FILE: {empty} is empty"
    assert problems[1].startswith("ASSAY_DATABASE_URL_FILE: cannot be read: [Errno 2]")


@pytest.mark.parametrize(
    "url", ["postgres//assay:hunter2@db/assay", "mysql://root:hunter2@db/assay", "postgresql://a:hunter2@db:port/x"]
)
def test_messages_hold_no_secrets(url: str) -> None:
    problems = refused(environment={"ASSAY_DATABASE_URL": url, "ASSAY_ADMIN_TOKEN": "hunter2"})

    assert len(problems) == 2
    assert "hunter2" not in "".join(problems)


def test_settings_hold_back_secrets_when_shown() -> None:
    settings = read(database_url="postgresql://assay:hunter2@db/assay", admin_token=TOKEN)

    assert "hunter2" not in repr(settings)
    assert TOKEN not in repr(settings)
    assert settings.shown_database == "postgresql://assay:***@db/assay"


def test_what_kubernetes_says_of_a_service_is_explained() -> None:
    (problem,) = refused(environment={"ASSAY_PORT": "tcp://10.0.0.7:8080", "ASSAY_PORT_8080_TCP": "x"})

    assert problem.startswith('ASSAY_PORT: must be an integer, got "tcp://10.0.0.7:8080"; Kubernetes sets this')


@given(values=st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), st.text(max_size=20), max_size=5))
def test_any_text_is_a_setting_or_a_problem_with_its_place(values: dict[str, str]) -> None:
    environment = {variable(name): value for name, value in values.items()}
    try:
        found = read(environment=environment)
    except SettingsInvalid as error:
        found = error
    if isinstance(found, SettingsInvalid):
        assert found.problems
        assert all(problem.startswith("ASSAY_") for problem in found.problems)


def test_the_page_of_settings_is_complete() -> None:
    from service.settings_page import page

    path = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page() in path.read_text(), "write it anew: python -m service.settings_page"
