"""Draws a recording as one SVG that moves by itself: a terminal, and below it every request of the traffic.

No script and no font of its own. Who asked for less motion sees the last moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import log10

WIDTH = 960
MARGIN = 18
LINE = 17
CHARACTER = 7.3  # the width that a monospaced letter of 12 px takes at most
CHART = 120
FASTEST, SLOWEST = 0.0003, 1.0  # seconds, of the chart
PAUSE = 4.0  # seconds at the end, before it begins again
DOTS = 1500  # at most: the slowest of each moment are kept
STYLE = """
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #c9d1d9; }
.typed { fill: #7ee787; } .note { fill: #8b949e; } .dot { fill: #58a6ff; } .grid { stroke: #30363d; }
.now { stroke: #f0883e; opacity: 0; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the terminal, and when it came: seconds."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """When a request began, and how long it took: seconds."""

    at: float
    took: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was printed, and what the traffic met meanwhile."""

    lines: tuple[Line, ...]
    requests: tuple[Request, ...]

    @property
    def length(self) -> float:
        return max(request.at + request.took for request in self.requests)


def picture(recording: Recording) -> str:
    """The SVG."""
    lines = [line for each in recording.lines for line in wrapped(each)]
    top = MARGIN + LINE * len(lines) + 2 * MARGIN
    height = top + CHART + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title(recording))}</title>",
        f"<style>{STYLE}{''.join(appearing(lines, recording.length))}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#0d1117"/>',
        *(terminal(lines)),
        *(chart(recording, top)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def title(recording: Recording) -> str:
    slowest = max(request.took for request in recording.requests) * 1000
    return (
        f"holdfast plan and holdfast run on a table in use: {len(recording.requests)} requests meanwhile,"
        f" the slowest took {slowest:.0f} ms"
    )


def wrapped(line: Line) -> Iterator[Line]:
    """In pieces that fit."""
    most = int((WIDTH - 2 * MARGIN) / CHARACTER)
    text, indent = line.text, ""
    while len(text) > most:
        cut = text.rfind(" ", len(indent) + 1, most)
        cut = most if cut <= len(indent) else cut
        yield Line(at=line.at, text=text[:cut])
        indent = " " * (len(line.text) - len(line.text.lstrip()) + 2)
        text = indent + text[cut:].lstrip()
    yield Line(at=line.at, text=text)


def appearing(lines: list[Line], length: float) -> Iterator[str]:
    """One animation a moment; all are as long as the recording, so that it begins again as a whole."""
    whole = length + PAUSE
    yield "@media (prefers-reduced-motion: no-preference) {"
    for number, at in enumerate(moments(lines)):
        share = 100 * at / whole
        yield f"@keyframes k{number} {{ 0%, {share:.2f}% {{ opacity: 0 }} {share + 0.01:.2f}%, 100% {{ opacity: 1 }} }}"
        yield f".l{number} {{ animation: k{number} {whole:.1f}s step-end infinite }}"
    end = 100 * length / whole
    moved = f"{{ transform: translateX({across()}px) }}"
    yield (
        f"@keyframes now {{ 0% {{ transform: translateX(0) }} {end:.2f}%, 100% {moved} }}"
        f"@keyframes seen {{ 0% {{ clip-path: inset(0 100% 0 0) }} {end:.2f}%, 100% {{ clip-path: inset(0) }} }}"
        f".dot {{ animation: seen {whole:.1f}s linear infinite }}"
        f".now {{ opacity: 1; animation: now {whole:.1f}s linear infinite }} }}"
    )


def moments(lines: list[Line]) -> list[float]:
    return sorted({line.at for line in lines})


def terminal(lines: list[Line]) -> Iterator[str]:
    numbers = {at: number for number, at in enumerate(moments(lines))}
    for place, line in enumerate(lines):
        y = MARGIN + LINE * (place + 1) - 4
        kind = " typed" if line.text.startswith("$ ") else ""
        text = escape(line.text)
        yield f'<text class="l{numbers[line.at]}{kind}" x="{MARGIN}" y="{y}" xml:space="preserve">{text}</text>'


def across() -> int:
    return WIDTH - 2 * MARGIN - 60


def chart(recording: Recording, top: int) -> Iterator[str]:
    """Each request: when it began, how long it took; and a line that says where the terminal is."""
    left = MARGIN + 60
    yield f'<text class="note" x="{MARGIN}" y="{top - 10}">{escape(title(recording).partition(": ")[2])}</text>'
    for took, words in ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s")):
        y = height_of(took) + top
        yield f'<line class="grid" x1="{left}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="note" x="{MARGIN}" y="{y + 4:.1f}">{words}</text>'
    dots = [
        f"M{left + across() * request.at / recording.length:.1f} {height_of(request.took) + top:.1f}h1.6v1.6h-1.6z"
        for request in kept(recording)
    ]
    yield f'<path class="dot" d="{"".join(dots)}"/>'
    yield f'<line class="now" x1="{left}" x2="{left}" y1="{top}" y2="{top + CHART}"/>'


def kept(recording: Recording) -> list[Request]:
    """The slowest of each moment, where there are too many for a picture."""
    size = -(-len(recording.requests) // DOTS)
    found = sorted(recording.requests, key=lambda request: request.at)
    groups = [found[begin : begin + size] for begin in range(0, len(found), size)]
    return [max(group, key=lambda request: request.took) for group in groups]


def height_of(took: float) -> float:
    share = log10(min(max(took, FASTEST), SLOWEST) / FASTEST) / log10(SLOWEST / FASTEST)
    return CHART * (1 - share)
