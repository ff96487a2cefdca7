"""`assay doctor` says what is well, what is not, and what to do; and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from typer.testing import CliRunner

from assay.cli import app as cli
from service import doctor, machine
from service.app import create_app
from service.database import Database
from service.doctor import Finding, Level, examine
from service.settings import Settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("ASSAY_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ASSAY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASSAY_PORT", "0")
    monkeypatch.setenv("ASSAY_POOL", "local")


def found(**options: Any) -> dict[str, Finding]:
    """The findings by check, of each the worst."""
    worst: dict[str, Finding] = {}
    for finding in examine(None, options):
        if finding.check not in worst or list(Level).index(finding.level) > list(Level).index(
            worst[finding.check].level
        ):
            worst[finding.check] = finding
    return worst


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_fresh_machine_is_well_and_stays_as_it_was(tmp_path: Path) -> None:
    findings = examine(None, {})

    assert {finding.check for finding in findings if finding.level is Level.FAIL} == set()
    assert {"python", "packages", "settings", "access", "data", "database", "artifacts", "port", "pool"} == {
        finding.check for finding in findings
    }
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_told_of_trouble_is_told_what_to_do(tmp_path: Path, listening: int) -> None:
    (tmp_path / "data").write_text("in the way")
    findings = examine(None, {"port": listening, "artifacts_url": "gopher://hole"})

    assert {finding.check for finding in findings if finding.level is Level.FAIL} >= {"data", "artifacts", "port"}
    for finding in findings:
        assert (finding.advice != "") == (finding.level is not Level.OK)


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_WORKERS", "0")
    findings = [finding for finding in examine(None, {"host": "0.0.0.0", "auth": "off"}) if finding.check == "settings"]

    assert [finding.level for finding in findings] == [Level.FAIL, Level.FAIL]
    assert findings[0].message == 'ASSAY_WORKERS: must be at least 1, got "0"'
    assert findings[1].message.startswith("--auth: off is refused on 0.0.0.0")


def test_settings_say_where_they_are_set(tmp_path: Path) -> None:
    file = tmp_path / "assay.toml"
    file.write_text('lease_seconds = 20\nadmin_token = "correct-horse-battery"\n')
    file.chmod(0o644)
    settings = [finding for finding in examine(file, {"role": "api"}) if finding.check == "settings"]

    assert "lease_seconds (lease_seconds)" in settings[0].message
    assert "port (ASSAY_PORT)" in settings[0].message
    assert "role (--only)" in settings[0].message
    assert "correct-horse" not in settings[0].message
    assert settings[1].level is Level.WARN
    assert settings[1].advice == f"chmod 600 {file}"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_is_reachable_writable_and_current(kind: str, new_database_url: Callable[[str], str]) -> None:
    url = new_database_url(kind)
    before = tables(url)
    findings = found(database_url=url)

    assert findings["database"].level is Level.OK, findings["database"]
    assert " ms" in findings["database"].message
    assert findings["schema"].level is Level.OK
    assert findings["clock"].level is Level.OK
    assert tables(url) == before


def test_a_database_without_tables_will_get_them(new_empty_database_url: Callable[[str], str]) -> None:
    findings = found(database_url=new_empty_database_url("postgresql"))

    assert findings["schema"] == Finding("schema", Level.OK, "there is none yet; it is made at the first start")


def test_a_schema_of_another_version_is_migrated_by_the_next_start(new_database_url: Callable[[str], str]) -> None:
    url = new_database_url("sqlite")
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.commit()
    connection.close()

    assert found(database_url=url)["schema"].level is Level.WARN


def test_a_database_that_only_reads_is_found(new_database_url: Callable[[str], str]) -> None:
    url = new_database_url("postgresql")
    execute(url, f"ALTER DATABASE {sa.make_url(url).database} SET default_transaction_read_only = on")
    finding = found(database_url=url)["database"]

    assert finding.level is Level.FAIL
    assert "cannot be written" in finding.message
    assert "read-only" in finding.message


def test_a_database_that_is_not_there_is_found(listening: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://assay:hunter2@127.0.0.1:{free.getsockname()[1]}/assay"
    finding = found(database_url=url)["database"]

    assert finding.level is Level.FAIL
    assert "refused" in finding.message
    assert "hunter2" not in finding.message


def test_a_file_that_is_no_database_is_found(tmp_path: Path) -> None:
    (tmp_path / "assay.db").write_text("no database at all, by far " * 100)

    assert found(database_url=f"sqlite:///{tmp_path}/assay.db")["database"].level is Level.FAIL


def test_a_clock_that_is_off_is_found(new_database_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    url = new_database_url("postgresql")
    monkeypatch.setattr("service.repositories.probe.Probe.skew", lambda self: 2.5)
    assert found(database_url=url)["clock"].level is Level.WARN
    monkeypatch.setattr("service.repositories.probe.Probe.skew", lambda self: -6.0)
    assert found(database_url=url)["clock"].level is Level.FAIL
    assert "-6.0 s" in found(database_url=url)["clock"].message


def test_sqlite_on_a_network_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "file_system", lambda path: "nfs4")

    assert found()["database"].level is Level.FAIL
    assert "PostgreSQL" in found()["database"].advice


def test_a_disk_that_is_full_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = doctor.shutil.disk_usage("/")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=doctor.LITTLE_SPACE - 1))
    assert found()["data"].level is Level.WARN
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=doctor.TOO_LITTLE_SPACE - 1))
    assert found()["data"].level is Level.FAIL


def test_a_store_takes_and_gives_back(tmp_path: Path) -> None:
    finding = found(artifacts_url=f"file://{tmp_path}/store")["artifacts"]

    assert finding.level is Level.OK, finding
    assert list((tmp_path / "store").iterdir()) == []
    assert found(artifacts_url="memory://store")["artifacts"].level is Level.OK


def test_a_port_that_is_taken_is_found_unless_by_an_assay(listening: int, server: Any) -> None:
    assert found(port=listening)["port"].level is Level.FAIL
    port = int(server.url.rpartition(":")[2])
    assert found(port=port)["port"].message == f"an Assay is running on 127.0.0.1:{port}"


@pytest.fixture
def app(sqlite_database: Database) -> FastAPI:
    return create_app(Settings(), sqlite_database)


def test_ray_is_asked_where_it_is(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(pool="ray", ray_address="127.0.0.1:1")["ray"].level is Level.FAIL
    assert found(pool="ray", ray_address=f"127.0.0.1:{listening}")["ray"].level is Level.OK
    monkeypatch.setattr(machine, "shared_memory", lambda: 64 * 1024**2)
    assert found(pool="ray")["ray"].level is Level.WARN
    assert "64 MiB" in found(pool="ray")["ray"].message


@pytest.mark.slow
def test_ray_is_tried_when_asked_for() -> None:
    findings = examine(None, {"pool": "ray", "workers": 1}, ray=True)

    assert findings[-1] == Finding("ray", Level.OK, "works, with room for 1 runs of one CPU")


def test_a_collector_that_is_not_there_is_no_failure(listening: int) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    assert found(otel_endpoint=f"http://127.0.0.1:{listening}")["traces"].level is Level.OK
    assert found(otel_endpoint="http://127.0.0.1:1")["traces"].level is Level.WARN


def test_packages_of_other_versions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_constraints", lambda: iter([("pydantic", "1.0"), ("not-there-at-all", "1.0")]))
    finding = found()["packages"]
    assert finding.level is Level.WARN
    assert "(1.0)" in finding.message
    assert "not-there" not in finding.message

    monkeypatch.setattr(doctor, "requires", lambda name: ["pydantic>=99", "not-there-at-all>=1"])
    finding = found()["packages"]
    assert finding.level is Level.FAIL
    assert "pydantic>=99" in finding.message
    assert "not-there-at-all>=1 (not installed)" in finding.message


def test_the_command_prints_lines_or_json_and_its_exit_code_says_whether_all_is_well(listening: int) -> None:
    well = CliRunner().invoke(cli, ["doctor"])
    assert well.exit_code == 0, well.output
    assert "ok    python" in well.stdout

    ill = CliRunner().invoke(cli, ["doctor", "--port", str(listening), "--json"])
    assert ill.exit_code == 1
    told = json.loads(ill.stdout)
    assert told["ok"] is False
    (port,) = [one for one in told["checks"] if one["check"] == "port"]
    assert port["level"] == "fail"
    assert port["advice"] == "choose another port, or end what listens there"


def test_only_what_a_part_needs_is_looked_at() -> None:
    assert "port" not in found(role="dispatcher")
    assert "pool" not in found(role="api")


def tables(url: str) -> set[str]:
    database = Database(url)
    names = set(sa.inspect(database.engine).get_table_names())
    database.dispose()
    return names


def execute(url: str, statement: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
