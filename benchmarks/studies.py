"""What searching is worth: the example studies, run through a real service, beside the default config and the baseline.

    python -m benchmarks.studies [--only lenet,rnn] [--folder examples/studies/families] [--shown]

Each study of the folder runs to its end on the workers of `assay up`. Then the default config of its space is trained
in a study of its own, at the highest fidelity, on the same split, with the same seed: the search knows nothing of it.
The baseline is that of the study's check. All three are tested once. The bar: the best config of every study is better
than both on the validation split, by which it was chosen. What that is worth, the test split says: nobody chose by it.

Prints a table and writes benchmarks/results/studies.json, where other studies keep what they had; every row says which
commit it was measured with. `--shown` prints what is there and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from assay.child import ChildService
from assay.client import Client
from assay.study_file import load_study
from assay.wire import ENDED, Study
from benchmarks.report import table
from benchmarks.service.servers import free_port
from spaces import Space
from workers.baselines import Baseline
from workers.catalogue import load
from workers.data.loading import held_out_data, training_data
from workers.protocol import Assignment
from workers.provenance import checkout
from workers.training.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "studies" / "families"
RESULTS = Path(__file__).parent / "results" / "studies.json"
SUFFIX = "-default"
HEAD = (
    *("study", "algorithm", "runs", "minutes", "score"),
    *("best, validation", "default", "baseline", "best, test", "default", "baseline", "better on"),
)


@dataclass(frozen=True, slots=True)
class Scored:
    """A score on both splits. `name` is that of a baseline; `keeps`: it keeps the study's constraints."""

    validation: float
    test: float
    name: str = ""
    keeps: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One study. `fidelity` is that of the best run; `code` is {commit, dirty}."""

    study: str
    family: str
    dataset: str
    algorithm: str
    runs: int
    minutes: float
    score: str
    maximize: bool
    fidelity: float
    best: Scored
    default: Scored
    baseline: Scored
    config: Mapping[str, Any]
    code: Mapping[str, Any] | None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Row:
        scored = {name: Scored(**stored[name]) for name in ("best", "default", "baseline")}
        return cls(**{**stored, **scored})

    def beaten(self, split: str) -> bool:
        """Whether the best is better than the default and the baseline there; whoever breaks a constraint is worse."""

        def better_than(other: Scored) -> bool:
            if not (self.best.keeps and other.keeps):
                return self.best.keeps
            ours, theirs = getattr(self.best, split), getattr(other, split)
            return bool(ours > theirs if self.maximize else ours < theirs)

        return better_than(self.default) and better_than(self.baseline)

    @property
    def better_on(self) -> str:
        splits = [split for split in ("validation", "test") if self.beaten(split)]
        return "both" if len(splits) == 2 else splits[0] if splits else "neither"


class Unmeasured(Exception):
    """A study that did not come to a result; says why."""


def measure(client: Client, submitted: Mapping[str, Any]) -> Row:
    """Runs the study and what it is compared with. Raises Unmeasured."""
    name = client.studies.create(submitted)["name"]
    study = to_the_end(client, name)
    default = to_the_end(client, client.studies.create(default_of(study, submitted))["name"])
    (score, direction), objective = (study["metrics"][0][key] for key in ("name", "direction")), study["objective"]
    best = client.studies.best(name)
    top = study["space"]["fidelity"]["high"]
    if best["fidelity"] != top:
        raise Unmeasured(f"{name}: no run has reached the fidelity {top}")
    return Row(
        study=name,
        family=objective["family"],
        dataset=objective["dataset"],
        algorithm=study["algorithm"]["name"],
        runs=study["spent"]["runs"],
        minutes=study["spent"]["seconds"] / 60,
        score=score.removeprefix("val_"),
        maximize=direction == "maximize",
        fidelity=top,
        best=scored(study, score),
        default=scored(default, score),
        baseline=baseline_of(client, study, score),
        config=best["config"],
        code=checkout(ROOT / "workers"),
    )


def to_the_end(client: Client, name: str, interval: float = 0.5) -> Study:
    while (study := client.studies.get(name))["state"] not in ENDED:
        if study["state"] == "paused":
            raise Unmeasured(f"{name} has paused: {study['reason'] or study['waiting']}")
        time.sleep(interval)
    if study["state"] != "completed" or study["best"] is None or study["test"] is None:
        raise Unmeasured(f"{name} is {study['state']} ({study['reason']}), without a best run that was tested")
    return study


def default_of(study: Study, submitted: Mapping[str, Any]) -> dict[str, Any]:
    """A study of one run: the default of the other one's space, at its highest fidelity."""
    config = Space.from_json(study["space"]).default()
    constants = [{"name": name, "type": "constant", "value": value} for name, value in config.items()]
    return {
        **submitted,
        "name": f"{study['name']}{SUFFIX}",
        "space": {"parameters": constants, "fidelity": study["space"]["fidelity"]},
        "algorithm": {"name": "random"},
        "budget": {"max_runs": 1},
        "checks": False,
    }


def scored(study: Study, score: str) -> Scored:
    """The best run of a study that has ended."""
    best, test = study["best"], study["test"]
    assert best is not None, "it was waited for"
    assert test is not None, "it was waited for"
    tested = test["metrics"][f"test_{score.removeprefix('val_')}"]
    return Scored(best["metrics"][score], tested, keeps=best["feasible"])


def baseline_of(client: Client, study: Study, score: str) -> Scored:
    """The study's check has the validation score; the model is made once more to test it."""
    (check,) = (job for job in client.studies.jobs(study["name"]) if job["kind"] == "baseline")
    if check["state"] != "succeeded" or check["metrics"] is None or check["details"] is None:
        raise Unmeasured(f"{study['name']}: its baseline has {check['state']}: {check['failure']}")
    plan = Plan.of(Assignment(key="baseline", objective=study["objective"], config={}, seed=0))
    cpu = torch.device("cpu")
    made: Baseline = load(plan.task.baseline)(
        training_data(plan.dataset, plan.part, cpu), plan.facts, held_out_data(plan.dataset, plan.part, cpu)
    )
    assert made.tested is not None, "it was given what to test it with"
    return Scored(check["metrics"][score], made.tested[score.removeprefix("val_")], check["details"]["name"])


def chosen(folder: Path, only: str) -> list[dict[str, Any]]:
    """The studies of the folder in the order of their files' names; `only` is a list of these, with commas."""
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    wanted = list(filter(None, only.split(","))) or list(files)
    if unknown := [name for name in wanted if name not in files]:
        raise SystemExit(f"no study {', '.join(unknown)} in {folder} (there are: {', '.join(files)})")
    return [load_study(files[name]) for name in wanted]


def run(studies: Sequence[Mapping[str, Any]], options: Sequence[str], folder: Path) -> Iterator[Row]:
    """One after another on one service, whose data are in the folder. What cannot be measured is said, and left out."""
    service = ChildService(free_port(), folder, options)
    with service, Client(service.url) as client:
        service.wait_until_ready(client)
        for study in studies:
            try:
                yield measure(client, study)
            except Unmeasured as reason:
                print(reason, file=sys.stderr, flush=True)


def shown(row: Row) -> list[str]:
    def number(one: Scored, split: str) -> str:
        return f"{getattr(one, split):.4g}" + ("" if one.keeps else " (breaks a constraint)")

    three = (row.best, row.default, row.baseline)
    cells = [f"`{row.family}` on {row.dataset}", row.algorithm, f"{row.runs}", f"{row.minutes:.1f}", row.score]
    cells += [number(one, "validation") for one in three] + [number(one, "test") for one in three]
    return [*cells, row.better_on]


def stored() -> dict[str, Row]:
    """By study, the rows of all times."""
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    return {name: Row.from_json(row) for name, row in found.items()}


def keep(row: Row) -> None:
    rows = {**stored(), row.study: row}
    RESULTS.parent.mkdir(exist_ok=True)
    draft = RESULTS.with_suffix(".draft")
    draft.write_text(json.dumps({name: asdict(rows[name]) for name in sorted(rows)}, indent=1) + "\n")
    draft.replace(RESULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="With a YAML file per study.")
    parser.add_argument("--only", default="", help="Names of files without .yaml, with commas between them.")
    parser.add_argument("--pool", choices=("ray", "local"), default="ray")
    parser.add_argument("--workers", type=int, default=2, help="How many runs at once.")
    parser.add_argument("--shown", action="store_true", help="Only print what is stored.")
    options = parser.parse_args()
    studies = chosen(options.folder, options.only)
    rows = []
    if options.shown:
        rows = [row for name, row in stored().items() if name in {study["name"] for study in studies}]
    else:
        with TemporaryDirectory(prefix="assay-benchmark-") as data:
            for row in run(studies, ["--pool", options.pool, "--workers", f"{options.workers}"], Path(data)):
                keep(row)
                rows.append(row)
                print(f"{row.study}: {' | '.join(shown(row)[1:])}", flush=True)
    print(table(HEAD, [shown(row) for row in rows]))
    sys.exit(len(rows) < len(studies) or not all(row.beaten("validation") for row in rows))


if __name__ == "__main__":
    main()
