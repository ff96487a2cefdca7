"""Watching a study to its end: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live

from assay import view
from assay.client import Client
from assay.progress import follow
from assay.wire import Study


def watch(client: Client, name: str, console: Console) -> Study:
    """Shows the study's progress until it has ended, and returns it."""
    return _watch_live(client, name, console) if console.is_terminal else _watch_lines(client, name, console)


def _watch_live(client: Client, name: str, console: Console) -> Study:
    with Live(console=console, refresh_per_second=4) as display:
        for snapshot in follow(client, name):
            display.update(view.live(snapshot))
    return snapshot.study


def _watch_lines(client: Client, name: str, console: Console) -> Study:
    shown = ""
    for snapshot in follow(client, name):
        if (text := view.line(snapshot)) != shown:
            console.print(text, soft_wrap=True, markup=False, highlight=False)
            shown = text
    return snapshot.study
