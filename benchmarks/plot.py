"""Figures by number of parameters -> an SVG with logarithmic axes, made of text alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 50
COLOURS = ("#1f6feb", "#2da44e", "#bf8700")


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis from 10^low to 10^high, over so many pixels from `start`."""

    low: int
    high: int
    start: float
    length: float

    def at(self, value: float) -> float:
        """Return the position of a value in pixels."""
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * self.length


Series = Mapping[str, Sequence[tuple[float, float]]]


def svg(title: str, below: str, series: Series) -> str:
    """Lines by name, each of (x, y) points above zero; the same unit for none of them: the legend says."""
    points = [point for line in series.values() for point in line]
    across = _axis([x for x, _ in points], LEFT, WIDTH - LEFT - RIGHT)
    up = _axis([y for _, y in points], HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM))
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
            ' font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" fill="#1f2328">{title}</text>',
        (
            f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle"'
            f' fill="#1f2328">{below}</text>'
        ),
        *_grid(across, up),
    ]
    for number, (name, line) in enumerate(series.items()):
        parts += _line(name, line, across, up, COLOURS[number % len(COLOURS)], number)
    return "\n".join((*parts, "</svg>", ""))


def _axis(values: Sequence[float], start: float, length: float) -> Axis:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Axis(low, max(high, low + 1), start, length)


def _grid(across: Axis, up: Axis) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for power in range(across.low, across.high + 1):
        x = across.at(10.0**power)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#d1d9e0"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#59636e">{10**power:,}</text>'
        )
    for power in range(up.low, up.high + 1):
        y = up.at(10.0**power)
        label = f"{10.0**power:,.{max(0, -power)}f}"
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#d1d9e0"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#59636e">{label}</text>')
    return parts


def _line(
    name: str, line: Sequence[tuple[float, float]], across: Axis, up: Axis, colour: str, number: int
) -> list[str]:
    spots = [(across.at(x), up.at(y)) for x, y in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in spots]
    y = TOP + 20 + 22 * number
    parts.append(f'<circle cx="{WIDTH - RIGHT + 20}" cy="{y - 4}" r="4" fill="{colour}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 32}" y="{y}" fill="#1f2328">{name}</text>')
    return parts
