"""`assay demo`: a service, a study on it, and what it found, from nothing and back to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from textwrap import indent
from urllib.parse import quote

from rich.console import Console

from assay import view
from assay.child import ChildService, free_port
from assay.client import Client
from assay.errors import AssayError, Conflict, ConnectionFailed, Invalid, NotFound
from assay.exit_codes import ExitCode
from assay.study_file import StudyFile, dump
from assay.watching import watch
from assay.wire import Study


@dataclass(frozen=True)
class Demo:
    """`out` gets the results, `progress` everything on the way there."""

    file: StudyFile
    port_from: int
    data_dir: Path | None
    pool: str | None
    workers: int | None
    out: Console
    progress: Console

    def run(self, *, keep_serving: bool) -> ExitCode:
        """Raises AssayError; KeyboardInterrupt only while the study is not done: later it is how the demo ends."""
        try:
            data_dir = self.data_dir or fresh_directory(Path("assay-data"))
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AssayError(f"cannot make a data directory: {error}; choose another --data-dir") from error
        options = [*_option("--pool", self.pool), *_option("--workers", self.workers)]
        service = ChildService(free_port(self.port_from), data_dir, options)
        with service, Client(service.url) as client:
            with self.progress.status(f"starting the service at {service.url} (log: {service.log})"):
                service.wait_until_ready(client)
            self._say(f"the service is ready: {service.url} (log: {service.log})")
            study = self._submit(client)
            self._say(f"submitted the study {study['name']}")
            try:
                study = watch(client, study["name"], self.progress)
            except ConnectionFailed:
                service.check()  # says more, if it has ended
                raise
            self._report(client, study)
            if keep_serving:
                self._keep_serving(service)
            self._say("shutting down")
        self._say(f"everything is stored in {data_dir}; look again with: assay up --data-dir {data_dir}")
        return ExitCode.OK if study["state"] == "completed" else ExitCode.STUDY_FAILED

    def _submit(self, client: Client) -> Study:
        """Creates the study, under the first of `name`, `name-2`, `name-3`, ... that is free."""
        name = self.file.study.get("name")
        for number in count(1):
            try:
                return client.studies.create({**self.file.study, "name": name if number == 1 else f"{name}-{number}"})
            except Conflict:
                continue
            except Invalid as error:
                raise self.file.explain(error) from error
        raise AssertionError("counting never ends")

    def _report(self, client: Client, study: Study) -> None:
        name = study["name"]
        reason = f" ({study['reason']})" if study["reason"] else ""
        self._print(f"\nstudy {name}: {study['state']}{reason}, {view.headline(study)}", style="bold")
        try:
            best = client.studies.best(name)
        except NotFound:
            self._print("no run has succeeded")
        else:
            self._print("\nhow the best improved", style="bold")
            rows = (
                (
                    view.duration(step["seconds"]),
                    str(step["run"]),
                    str(step["trial"]),
                    view.number(step["fidelity"]),
                    view.pairs(view.declared(study, step["metrics"])),
                    view.pairs(step["config"]),
                )
                for step in client.studies.incumbents(name)
            )
            fidelity = study["space"].get("fidelity", {}).get("name", "fidelity")
            view.print_table(self.out, ("after", "run", "trial", fidelity, "metrics", "config"), rows)
            self._print(f"\nbest: {view.incumbent(study, best)}", style="bold green")
            self._print(indent(dump(best["config"]).rstrip(), "  "))
            if best["test"]:
                self._print(
                    f"on the test split, measured once: {view.pairs(best['test']['metrics'])}", style="bold green"
                )
        self._print(f"\ndashboard: {client.url}studies/{quote(name)}")

    def _keep_serving(self, service: ChildService) -> None:
        self._say("serving until Ctrl-C")
        try:
            service.wait_for_end()
        except KeyboardInterrupt:
            return

    def _print(self, text: str, style: str | None = None) -> None:
        self.out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _say(self, text: str) -> None:
        self.progress.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def _option(name: str, value: object | None) -> list[str]:
    return [] if value is None else [name, str(value)]


def fresh_directory(parent: Path) -> Path:
    """Makes and returns `parent/demo-N` with the first N that is not taken."""
    for number in count(1):
        path = parent / f"demo-{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise AssertionError("counting never ends")
