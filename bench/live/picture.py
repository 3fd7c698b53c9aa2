"""Draws latency over time, a panel per tool. Runs in an environment of its own: `picture.py PNG`, the rest on stdin.

Takes a JSON object: the title, and per panel a title, the seconds that the tool took and its requests as
[seconds after its start, ms or null].
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from PIL import Image

COLUMNS = 4
BEFORE, AFTER = 2.5, 1.5  # s shown around the change
COLOURS = 48
CALM, SLOW = "#1f6f8b", "#c0392b"


def draw(panel: dict[str, Any], axes: Axes, *, span: float) -> None:
    wall = panel["wall"]
    shown = [point for point in panel["requests"] if -BEFORE <= point[0] <= wall + AFTER]
    answered = [point for point in shown if point[1] is not None]
    axes.axvspan(0, wall, color="#eef3f5", zorder=0)
    for colour, points in (
        (CALM, [point for point in answered if point[1] <= 1000]),
        (SLOW, [point for point in answered if point[1] > 1000]),
    ):
        axes.scatter(
            *zip(*points, strict=True), s=3, color=colour, linewidths=0
        ) if points else None
    failed = [point[0] for point in shown if point[1] is None]
    axes.scatter(failed, [25_000] * len(failed), s=18, marker="x", color=SLOW)
    axes.axhline(1000, color="#999999", linewidth=0.6, linestyle=":")
    axes.set_title(panel["title"], fontsize=9, loc="left")
    axes.set(yscale="log", ylim=(0.3, 40_000), xlim=(-BEFORE, span + AFTER))
    axes.set_yticks([1, 10, 100, 1000, 10_000], ["1 ms", "10 ms", "100 ms", "1 s", "10 s"])
    axes.tick_params(labelsize=8, length=2)
    axes.minorticks_off()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    wanted = json.load(sys.stdin)
    panels = wanted["panels"]
    lines = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    figure, grid = pyplot.subplots(
        lines,
        columns,
        figsize=(3.1 * columns, 2.4 * lines + 0.5),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    places = list(grid.flat)
    span = max(panel["wall"] for panel in panels)
    for panel, axes in zip(panels, places, strict=False):
        draw(panel, axes, span=span)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(wanted["title"], fontsize=10, x=0.01, ha="left")
    figure.supxlabel(
        "seconds after the tool was started (shaded: until it was done; crosses: failed)",
        fontsize=8,
    )
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100, facecolor="white")
    # A third of the size. Not the default method: it drops a colour that few pixels have.
    few = Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    few.save(Path(sys.argv[1]), optimize=True)


main()
