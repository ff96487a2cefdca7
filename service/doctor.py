"""`assay doctor`: is everything here that the service needs, and if not, what is to be done?

Every check looks at one thing, changes nothing and answers with findings; none of them stops the others. Where a check
needs what another one found missing, it says nothing.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import httpx
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from service import machine
from service.database import Database, DatabaseError, DatabaseTooNew
from service.observability import traces
from service.repositories.probe import Probe
from service.settings import Settings
from service.settings_sources import Loaded, SettingsInvalid, read_settings

LITTLE_SPACE = 5 * 1024**3
TOO_LITTLE_SPACE = 500 * 1024**2
SLOW_DATABASE_SECONDS = 0.05
SKEW_SECONDS = 1.0
OLDEST_POSTGRESQL = 14
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph", "glusterfs", "lustre")


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do, where something is to be done."""

    check: str
    level: Level
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def warn(check: str, message: str, advice: str) -> Finding:
    return Finding(check, Level.WARN, message, advice)


def fail(check: str, message: str, advice: str) -> Finding:
    return Finding(check, Level.FAIL, message, advice)


def examine(config: Path | None, options: Mapping[str, object], *, ray: bool = False) -> list[Finding]:
    """All findings, in the order in which they matter. `ray` starts (or joins) a Ray, which takes a while."""
    found = [*_python(), *_packages()]
    try:
        loaded = read_settings(config, os.environ, options)
    except SettingsInvalid as error:
        advice = "docs/settings.md has every setting; what depends on them was not looked at"
        return found + [fail("settings", problem, advice) for problem in error.problems]
    settings = loaded.settings
    found += [*_settings(loaded), *_access(settings), *_data(settings), *_database(settings), *_artifacts(settings)]
    found += [*_ports(settings), *_traces(settings)]
    if settings.role != "api":
        found += _ray(settings, start=ray)
    return found


def _python() -> Iterator[Finding]:
    wanted = SpecifierSet(metadata("assay")["Requires-Python"] or "")
    have = platform.python_version()
    if have in wanted:
        yield ok("python", f"{have} on {platform.system()} {platform.machine()}")
    else:
        yield fail("python", f"{have} is not {wanted}", f"make the environment anew with a Python {wanted}")


def _packages() -> Iterator[Finding]:
    """What is declared must be there; other versions than those that were tested are worth knowing of."""
    missing, count = [], 0
    for text in requires("assay") or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "server"}):
            continue
        count += 1
        have = _version(requirement.name)
        if have is None or not requirement.specifier.contains(have, prereleases=True):
            missing.append(f"{requirement.name}{requirement.specifier} ({have or 'not installed'})")
    install = "pip install --constraint constraints.txt '.[server]'"
    if missing:
        yield fail("packages", f"missing or too old: {', '.join(missing)}", f"in the checkout: {install}")
        return
    tested = dict(_constraints())
    others = [
        f"{name} {have} ({want})" for name, want in tested.items() if (have := _version(name)) not in (None, want)
    ]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        message = f"{count} are there, but of other versions than were tested: {', '.join(others[:5])}{more}"
        yield warn("packages", message, f"in the checkout: {install}")
    else:
        yield ok("packages", f"{count} are there" + (", as they were tested" if tested else ""))


def _constraints() -> Iterator[tuple[str, str]]:
    """The versions that were tested, in a checkout."""
    path = Path(__file__).parents[1] / "constraints.txt"
    if path.exists():
        for line in path.read_text().splitlines():
            name, separator, wanted = line.partition("==")
            if separator:
                yield name.strip(), wanted.strip()


def _version(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def _settings(loaded: Loaded) -> Iterator[Finding]:
    places = [f"{name} ({place.removeprefix(f'{loaded.file}: ')})" for name, place in loaded.places.items()]
    source = f" from {loaded.file} and the environment" if loaded.file else ""
    yield ok("settings", f"valid{source}; " + (f"set: {', '.join(places)}" if places else "all by default"))
    if (
        loaded.file
        and loaded.file.stat().st_mode & 0o044
        and {"admin_token", "database_url"}
        & {name for name, place in loaded.places.items() if place == f"{loaded.file}: {name}"}
    ):
        yield warn("settings", f"{loaded.file} holds secrets, and others may read it", f"chmod 600 {loaded.file}")


def _access(settings: Settings) -> Iterator[Finding]:
    if not settings.serves_http:
        return
    commands = "commands are allowed" if settings.commands_allowed else "commands are not allowed"
    if not settings.auth_on:
        yield ok("access", f"no auth, for this machine only; {commands}")
    elif settings.metrics_public:
        yield warn("access", f"tokens are needed, but not for /metrics; {commands}", "unset metrics_public to close it")
    else:
        yield ok("access", f"tokens are needed; {commands}")


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.resolve()
    place = machine.existing(folder)
    if trouble := machine.trouble_with_writing(place):
        advice = f"give {machine.user()} the right to write there, or choose another data_dir"
        yield fail("data", f"{folder} cannot be written: {trouble}", advice)
        return
    free = shutil.disk_usage(place).free
    space = f"{folder}{'' if place == folder else ' (made at the first start)'}, {free / 1024**3:.1f} GiB free"
    if free < TOO_LITTLE_SPACE:
        yield fail("data", space, "make room: the database stops when the disk is full")
    elif free < LITTLE_SPACE:
        yield warn("data", space, "make room: checkpoints and logs grow with every run")
    else:
        yield ok("data", space)


def _database(settings: Settings) -> Iterator[Finding]:
    shown = settings.shown_database
    database = Database(settings.database_url)
    try:
        if database.embedded:
            path = Path(database.url.database or "").resolve()
            kind = machine.file_system(machine.existing(path))
            if kind in NETWORK_FILE_SYSTEMS:
                advice = "SQLite needs a local disk: move data_dir, or use PostgreSQL"
                yield fail("database", f"{path} lies on a network file system ({kind})", advice)
            if not path.exists():
                yield ok("database", f"{shown} is made at the first start")
                return
        yield from _database_at_work(database, shown, settings)
    except DatabaseError as error:
        advice = "is the server running, and are address, user and password in database_url right?"
        if database.embedded:
            advice = "is this an SQLite database, and may it be read and written? A backup can be put in its place"
        yield fail("database", f"{shown}: {' '.join(str(error).split())}", advice)
    finally:
        database.dispose()


def _database_at_work(database: Database, shown: str, settings: Settings) -> Iterator[Finding]:
    probe = Probe(database)
    seconds = probe.latency()
    known = probe.version()
    about = f"{shown}, version {known}, answers in {1000 * seconds:.1f} ms"
    if not database.embedded and int(known.partition(".")[0] or 0) < OLDEST_POSTGRESQL:
        yield fail("database", about, f"upgrade PostgreSQL to {OLDEST_POSTGRESQL} or later")
    elif seconds > SLOW_DATABASE_SECONDS:
        yield warn("database", about, "put the service nearer to its database: every decision waits for it")
    else:
        yield ok("database", about)
    try:
        probe.write()
    except DatabaseError as error:
        advice = "give its user the right to create tables; a standby or a read-only file does not do"
        yield fail("database", f"cannot be written: {error}", advice)
    try:
        database.ping()
        yield ok("schema", f"at revision {database.revision()}")
    except DatabaseTooNew as error:
        yield fail("schema", str(error), "docs/operations.md says how to go back")
    except DatabaseError as error:
        if database.revision() is None:
            yield ok("schema", "there is none yet; it is made at the first start")
        else:
            yield warn("schema", str(error), "the next start migrates it; take a backup before")
    skew = probe.skew()
    if abs(skew) > settings.lease_seconds / 3:
        yield fail(
            "clock", f"the database is {skew:+.1f} s from here; leases would run out", "synchronise both with NTP"
        )
    elif abs(skew) > SKEW_SECONDS:
        yield warn("clock", f"the database is {skew:+.1f} s from here", "synchronise both with NTP")
    else:
        yield ok("clock", "as the database's" if not database.embedded else "the database is on this machine")


def _artifacts(settings: Settings) -> Iterator[Finding]:
    """The store must take, give back and remove; a folder that is not there yet is made at the first use."""
    if settings.artifacts_url is None:
        yield ok("artifacts", f"{settings.artifacts}, in the data directory")
        return
    import fsspec  # heavy with some stores, and not needed to look at anything else

    address = settings.artifacts
    name, content = f"assay-doctor-{uuid.uuid4().hex}", b"assay"
    try:
        system, root = fsspec.core.url_to_fs(address)
        system.makedirs(root, exist_ok=True)
        path = f"{root.rstrip('/')}/{name}"
        system.pipe_file(path, content)
        same = system.cat_file(path) == content
        system.rm_file(path)
    except ImportError as error:
        yield fail("artifacts", f"{address}: {error}", "install the package that fsspec names for this kind of store")
    except Exception as error:  # noqa: BLE001 (each kind of store has errors of its own)
        words = " ".join(str(error).split()) or type(error).__name__
        yield fail(
            "artifacts", f"{address} cannot be written: {words}", "check artifacts_url and the credentials for it"
        )
    else:
        if same:
            yield ok("artifacts", f"{address} takes and gives back")
        else:
            yield fail("artifacts", f"{address} gives back something else than it was given", "use another store")


def _ports(settings: Settings) -> Iterator[Finding]:
    if settings.serves_http:
        yield _port("port", settings.host, settings.port, "/healthz", "port")
    if settings.metrics_port is not None:
        yield _port("metrics port", settings.host, settings.metrics_port, "/metrics", "metrics_port")


def _port(check: str, host: str, port: int, path: str, setting: str) -> Finding:
    if port == 0:
        return ok(check, "any that is free")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if _is_assay(host, port, path):
            return ok(check, f"an Assay is running on {host}:{port}")
        advice = f"choose another {setting}, or end what listens there"
        return fail(check, f"{host}:{port} cannot be had: {error.strerror or error}", advice)
    return ok(check, f"{host}:{port} is free")


def _is_assay(host: str, port: int, path: str) -> bool:
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        answer = httpx.get(f"http://{f'[{address}]' if ':' in address else address}:{port}{path}", timeout=3)
    except httpx.HTTPError:
        return False
    return "assay_info" in answer.text or answer.text.replace(" ", "") == '{"status":"alive"}'


def _traces(settings: Settings) -> Iterator[Finding]:
    address = traces.endpoint(settings.otel_endpoint)
    if address is None:
        return
    try:
        traces.configure(settings.otel_endpoint, settings.role).shutdown()
    except traces.TracesUnavailable as error:
        yield fail("traces", str(error), "pip install --constraint constraints.txt '.[otel]'")
        return
    url = httpx.URL(address)
    port = url.port or (443 if url.scheme == "https" else 80)
    if machine.answers(url.host, port):
        yield ok("traces", f"{address} takes connections")
    else:
        yield warn(
            "traces", f"nobody takes connections at {url.host}:{port}", "start the collector, or unset otel_endpoint"
        )


def _ray(settings: Settings, *, start: bool) -> Iterator[Finding]:
    if settings.pool != "ray":
        yield ok("pool", f"{settings.pool}, in the service's own process")
        return
    have = _version("ray")
    address = settings.ray_address
    if address and ":" in address and not address.startswith("ray://"):
        host, _, port = address.rpartition(":")
        if not port.isdecimal() or not machine.answers(host, int(port)):
            advice = (
                "start it (ray start --head --port=6379), or correct ray_address; this machine must be a node of it"
            )
            yield fail("ray", f"no Ray answers at {address}", advice)
            return
    if not address and (shared := machine.shared_memory()) is not None and shared < settings.ray_object_store_bytes:
        advice = f"give the container more (docker run --shm-size), or lower ray_object_store_bytes to {shared}"
        yield warn("ray", f"{shared / 1024**2:.0f} MiB of shared memory are free, less than Ray's object store", advice)
    if not start:
        where = f"the cluster at {address} answers" if address else "one is started with the service"
        yield ok("ray", f"{have}; {where} (--ray tries it)")
        return
    yield _ray_at_work(settings)


def _ray_at_work(settings: Settings) -> Finding:
    from service.server import make_pool  # with it comes the whole service
    from workers.protocol import Resources

    try:
        pool = make_pool(settings)
    except (OSError, ValueError, RuntimeError) as error:
        advice = "see /tmp/ray/session_latest/logs; free memory and disk, and try again"
        return fail("ray", f"cannot be used: {' '.join(str(error).split())}", advice)
    try:
        room = pool.capacity(Resources())
    finally:
        pool.shutdown()
    if room == 0:
        return fail("ray", "it has no free CPU", "add nodes to the cluster, or end what uses it")
    return ok("ray", f"works, with room for {room} runs of one CPU")
