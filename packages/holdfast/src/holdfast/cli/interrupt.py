"""Ctrl-C stops a run between two steps, a second one stops it at once; SIGUSR1 pauses it, and lets it go on."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click


@contextmanager
def stopping_between_steps() -> Iterator[Callable[[], bool]]:
    """Gives the question that a run asks between its steps."""
    asked = False

    def ask(_: int, __: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)
        click.echo("stopping after this step; Ctrl-C again stops at once (safe too)", err=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def pausing_between_steps() -> Iterator[Callable[[], bool]]:
    """Gives the question whether a run is to wait: after each first SIGUSR1, until the next one."""
    is_asked = False

    def ask(_: int, __: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = not is_asked

    before = signal.signal(signal.SIGUSR1, ask)
    try:
        yield lambda: is_asked
    finally:
        signal.signal(signal.SIGUSR1, before)
