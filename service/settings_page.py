"""The table of all settings in docs/settings.md: `python -m service.settings_page` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from service.settings import Settings
from service.settings_sources import OF_FILES, variable

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
SECTIONS = {
    "What runs, and where": "role",
    "How runs execute": "pool",
    "Who may do what": "auth",
    "What it tells": "log_level",
}
"""Each by its first setting, in the order of `Settings`."""


def page() -> str:
    """The generated part, between its markers."""
    titles = {first: title for title, first in SECTIONS.items()}
    lines = []
    for name, field in Settings.model_fields.items():
        if name in titles:
            lines += [
                "",
                f"### {titles[name]}",
                "",
                "| setting | variable | default | meaning |",
                "| --- | --- | --- | --- |",
            ]
        names = f"`{variable(name)}`" + "".join(
            f" or `{variable(file)}`" for file, secret in OF_FILES.items() if secret == name
        )
        lines.append(f"| `{name}` | {names} | {_default(field.default)} | {field.description} |")
    return BEGIN + "\n".join([*lines, "", ""]) + END


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGIN)] + page() + text[text.index(END) + len(END) :])
