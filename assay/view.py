"""How a study looks in a terminal. Pure functions from what the service said to something that Rich can print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from assay.progress import Snapshot
from assay.wire import Incumbent, Leader, Run, Study

_COLORS = {
    "active": "cyan",
    "running": "cyan",
    "completed": "green",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "paused": "yellow",
    "stopped": "yellow",
}
_ROWS = 12  # running runs that are shown
_SHORT = 14  # characters; columns up to this width are never cut


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def pairs(values: Mapping[str, Any] | None) -> str:
    """`lr=0.01 optimizer=sgd`: a config or metrics on one line."""
    return " ".join(f"{name}={value_text(value)}" for name, value in (values or {}).items())


def value_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else number(value) if isinstance(value, float) else str(value)


def state(value: str) -> Text:
    return Text(value, style=_COLORS.get(value, ""))


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def finished_runs(study: Study) -> int:
    counts = study["counts"]
    return counts["succeeded"] + counts["failed"] + counts["stopped"] + counts["cancelled"]


def fraction(study: Study) -> float | None:
    """How much of the budget is used, in [0, 1]; None for a budget without a limit to measure by."""
    spent, budget = study["spent"], study["budget"]
    used = {
        "max_runs": finished_runs(study),  # not those that only started
        "max_trials": spent["trials"],
        "max_fidelity": spent["fidelity"],
        "max_seconds": spent["seconds"],
    }
    shares = [used[limit] / budget[limit] for limit in used if budget.get(limit)]
    return min(1.0, max(shares)) if shares else None


def headline(study: Study) -> str:
    """`12 of 60 runs, 2 running, 1 failed`; `12 runs, 14 of 60 trials` where these are counted."""
    limit, trials = study["budget"].get("max_runs"), study["budget"].get("max_trials")
    done = finished_runs(study)
    parts = [f"{done} of {limit} runs" if limit else f"{done} run{'s' * (done != 1)}"]
    parts += [f"{study['spent']['trials']} of {trials} trials"] if trials else []
    parts += [f"{count} {name}" for name in ("running", "failed") if (count := study["counts"][name])]
    return ", ".join(parts)


def incumbent(study: Study, best: Incumbent) -> str:
    """`val_accuracy 0.9722 (epochs 27, trial 4, run 31)`."""
    values = ", ".join(f"{name} {number(value)}" for name, value in declared(study, best["metrics"]).items())
    fidelity = study["space"].get("fidelity")
    where = f"{fidelity['name']} {number(best['fidelity'])}, " if fidelity else ""
    return f"{values} ({where}trial {best['trial']}, run {best['run']})"


def standing(leader: Leader) -> str:
    """What has to be known beside a leader's metrics: `mean of 3 runs`, `not confirmed yet`, `breaks a constraint`."""
    remarks = []
    if leader["results"] > 1:
        remarks.append(f"mean of {leader['results']} runs")
    if not leader["confirmed"]:
        remarks.append("not confirmed yet")
    if not leader["feasible"]:
        remarks.append("breaks a constraint")
    return ", ".join(remarks)


def leader(study: Study, best: Leader) -> str:
    """The incumbent with its standing."""
    remarks = standing(best)
    return f"{incumbent(study, best)}, {remarks}" if remarks else incumbent(study, best)


def declared(study: Study, metrics: Mapping[str, float] | None) -> dict[str, float]:
    """Of all the metrics that a training reports, those that the study is about; all when none of them is there."""
    metrics = metrics or {}
    wanted = {metric["name"]: metrics[metric["name"]] for metric in study["metrics"] if metric["name"] in metrics}
    return wanted or dict(metrics)


def line(snapshot: Snapshot) -> str:
    """A snapshot as one line, for logs."""
    study = snapshot.study
    best = f", best {leader(study, study['best'])}" if study["best"] else ""
    # others come and go; all that is heard of a study for long may be this one
    searching = [f", run {run['number']} at {goal}" for run in snapshot.running if (goal := _epochs(snapshot, run))]
    return f"{study['name']}: {study['state']}, {headline(study)}{''.join(searching)}{best}"


def _epochs(snapshot: Snapshot, run: Run) -> str:
    """`epoch 4/50`: how far a run has come that searches within one training, however long others are; else empty."""
    if run["kind"] != "supernet":
        return ""
    report = snapshot.latest.get(run["number"])
    return f"epoch {number(report['step']) if report else '-'}/{snapshot.study['algorithm']['epochs']}"


def live(snapshot: Snapshot) -> RenderableType:
    """A snapshot as a panel that is redrawn in place."""
    study = snapshot.study
    title = Text.assemble(
        (study["name"], "bold"), "  ", state(study["state"]), f"  {study['algorithm']['name']}  ", headline(study)
    )
    title.append(f"  {duration(study['spent']['seconds'])}", style="dim")
    parts: list[RenderableType] = [title]
    share = 1.0 if study["state"] == "completed" else fraction(study)
    if share is not None:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1.0, completed=share, width=60), f"{share:.0%}")
        parts.append(bar)
    if study["best"]:
        parts.append(Text.assemble("best  ", (leader(study, study["best"]), "bold green")))
        parts.append(Text(f"      {pairs(study['best']['config'])}", style="dim"))
    if study["waiting"]:
        parts.append(Text(f"waiting: {study['waiting']}", style="yellow"))
    if snapshot.running:
        parts.append(_running(snapshot))
    return Group(*parts)


def _running(snapshot: Snapshot) -> RenderableType:
    fidelity = snapshot.study["space"].get("fidelity", {}).get("name", "step")
    rows: list[list[Text]] = []
    for run in snapshot.running[:_ROWS]:
        report = snapshot.latest.get(run["number"])
        reached = number(report["step"]) if report else "-"
        goal = _epochs(snapshot, run) or (
            f"{reached}/{number(run['fidelity'])}" if run["fidelity"] is not None else reached
        )
        metrics = pairs(declared(snapshot.study, report["metrics"])) if report else ""
        rows.append([*map(Text, (str(run["number"]), str(run["trial"]), goal, metrics, pairs(run["config"])))])
    table = _table(("run", "trial", fidelity, "metrics", "config"), rows)
    more = len(snapshot.running) - _ROWS
    return Group(table, Text(f"and {more} more", style="dim")) if more > 0 else table


def _table(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    """A table for a terminal, one line per row; where the width is short, long columns give way."""
    result = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for index, column in enumerate(columns):
        width = max([len(column), *(row[index].cell_len for row in rows)])
        result.add_column(column, overflow="ellipsis", no_wrap=True, min_width=min(width, _SHORT))
    for row in rows:
        result.add_row(*row)
    return result


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Prints rows, without the columns that are empty in all of them.

    They are fitted to the terminal; where there is none, nothing is cut off and every row is one line.
    """
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    shown = [index for index in range(len(columns)) if not cells or any(row[index].plain for row in cells)]
    columns, cells = [columns[index] for index in shown], [[row[index] for index in shown] for row in cells]
    if console.is_terminal:
        console.print(_table(columns, cells))
        return
    lines = [columns, *([" ".join(cell.plain.split()) for cell in row] for row in cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        console.print(text.rstrip(), soft_wrap=True, markup=False, highlight=False)
