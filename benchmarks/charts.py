"""The two charts of a comparison, as SVG text: curves with bands, and the critical-difference diagram.

Written by hand: two charts are not worth a plotting library in everybody's environment. Colours are from Okabe and Ito,
which people with colour-blindness can tell apart; curves differ by dashes too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FB5", "#000000")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222"'
WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 62, 190, 34, 52  # margins


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: points (x, y), and the half width of its band at each."""

    points: Sequence[tuple[float, float]]
    half_widths: Sequence[float]


def curves(title: str, x_label: str, y_label: str, lines: Mapping[str, Line]) -> str:
    """Curves over a logarithmic x, y from 0; the legend is in the order of the last values."""
    xs = [x for line in lines.values() for x, _ in line.points]
    top = max(y for line in lines.values() for _, y in line.points) * 1.05 or 1.0
    low, high = min(xs), max(xs)

    def across(x: float) -> float:
        return LEFT + (math.log(x / low) / math.log(high / low)) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - min(max(y, 0.0), top) / top * (HEIGHT - TOP - BOTTOM)

    body = [_text(LEFT, 20, title, weight="bold")]
    for y in _ticks(top):
        body.append(_stroke([(LEFT, up(y)), (WIDTH - RIGHT, up(y))], "#ddd"))
        body.append(_text(LEFT - 8, up(y) + 4, f"{y:g}", anchor="end"))
    for x in sorted({x for x in xs if len(set(xs)) <= 12} or {low, high}):
        body.append(_stroke([(across(x), HEIGHT - BOTTOM), (across(x), HEIGHT - BOTTOM + 5)], "#222"))
        body.append(_text(across(x), HEIGHT - BOTTOM + 20, f"{x:g}", anchor="middle"))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, anchor="middle"))
    body.append(f'<g transform="rotate(-90 16 {HEIGHT / 2})">{_text(16, HEIGHT / 2, y_label, anchor="middle")}</g>')
    styles = {name: _style(index) for index, name in enumerate(lines)}
    for name, line in lines.items():
        colour, dash = styles[name]
        if not any(map(math.isnan, line.half_widths)):
            pairs = list(zip(line.points, line.half_widths, strict=True))
            edge = [(across(x), up(y + half)) for (x, y), half in pairs]
            edge += [(across(x), up(y - half)) for (x, y), half in reversed(pairs)]
            outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge)
            body.append(f'<polygon points="{outline}" fill="{colour}" opacity="0.12"/>')
        body.append(_stroke([(across(x), up(y)) for x, y in line.points], colour, 2.2, dash))
    by_last = sorted(lines, key=lambda name: -lines[name].points[-1][1])
    for row, name in enumerate(by_last):
        colour, dash = styles[name]
        y = TOP + 10 + 20 * row
        body.append(_stroke([(WIDTH - RIGHT + 12, y), (WIDTH - RIGHT + 42, y)], colour, 2.2, dash))
        body.append(_text(WIDTH - RIGHT + 48, y + 4, name))
    return _svg(max(HEIGHT, TOP + 20 * len(lines) + 20), body)


def critical_difference(title: str, ranks: Mapping[str, float], difference: float) -> str:
    """Mean ranks on an axis, 1 at the right; bars join the methods whose ranks differ by less than `difference`."""
    ordered = sorted(ranks, key=lambda name: ranks[name])
    count = len(ordered)
    low, high = 1.0, float(count)
    margin, axis = 200, 78

    def across(rank: float) -> float:
        return WIDTH - margin - (rank - low) / (high - low) * (WIDTH - 2 * margin)

    groups = _groups([ranks[name] for name in ordered], difference)
    below = axis + 14 + 9 * len(groups)
    body = [_text(20, 20, title, weight="bold"), _stroke([(across(low), axis), (across(high), axis)], "#222", 1.2)]
    for rank in range(1, count + 1):
        body.append(_stroke([(across(rank), axis - 5), (across(rank), axis)], "#222"))
        body.append(_text(across(rank), axis - 10, str(rank), anchor="middle"))
    length = min(difference, high - low)
    body.append(_stroke([(across(high), 48), (across(high - length), 48)], "#222", 2.2))
    body.append(_text(across(high), 42, f"critical difference {difference:.2f}"))
    for row, (first, last) in enumerate(groups):
        y = axis + 9 + 9 * row
        ends = [(across(ranks[ordered[first]]) + 4, y), (across(ranks[ordered[last]]) - 4, y)]
        body.append(_stroke(ends, "#444", 4))
    half = (count + 1) // 2
    for place, name in enumerate(ordered):
        best_half = place < half
        row = place if best_half else count - 1 - place
        x, y = across(ranks[name]), below + 14 + 20 * row
        end = WIDTH - margin + 16 if best_half else margin - 16
        body.append(_stroke([(x, axis), (x, y), (end, y)], "#222"))
        label = f"{name} {ranks[name]:.2f}"
        body.append(_text(end + (5 if best_half else -5), y + 4, label, anchor="start" if best_half else "end"))
    return _svg(below + 30 + 20 * half, body)


def _groups(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """The longest runs (first, last) of ascending ranks that differ by less than `difference`, each of two or more."""
    groups: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(index for index, other in enumerate(ranks) if other - rank < difference)
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


def _ticks(top: float) -> list[float]:
    """Four to eight round values from 0 to the top."""
    step = 10 ** math.floor(math.log10(top))
    for part in (1.0, 0.5, 0.2, 0.1):
        if top / (step * part) >= 4:
            step *= part
            break
    return [round(step * index, 10) for index in range(int(top / step) + 1)]


def _style(index: int) -> tuple[str, str]:
    return COLOURS[index % len(COLOURS)], DASHES[(index // len(COLOURS) + index) % len(DASHES)]


def _stroke(points: Sequence[tuple[float, float]], colour: str, width: float = 1.0, dash: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _svg(height: float, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:g}" fill="white"/>', *body, "</svg>", ""])
