"""Ctrl-C and SIGTERM stop a run between two steps; a second one, or the end of the grace period, within a step.

SIGUSR1 pauses it, and lets it go on.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from socket import socket, socketpair
from threading import Thread
from time import monotonic
from types import FrameType

import click

from holdfast.errors.durations import in_words, parse_duration

# Kubernetes kills a pod 30 s after SIGTERM.
GRACE = timedelta(seconds=25)
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _duration(_: click.Context, __: click.Parameter, value: str) -> timedelta:
    found = parse_duration(value)
    if not isinstance(found, timedelta):
        raise click.BadParameter(f"{value!r} is no duration; write 25s, 500ms, 2min")
    return found


GRACE_OPTION = click.option(
    "--grace",
    metavar="DURATION",
    callback=_duration,
    default=in_words(GRACE),
    show_default=True,
    help="After SIGTERM: how long the current step may take before its statement is cancelled.",
)


class Stop:
    """Answers what a run asks: whether to stop between two steps, and whether to stop within one."""

    def __init__(self, grace: timedelta) -> None:
        self.grace = grace
        self._asked = 0
        self._limit: float | None = None

    def should(self) -> bool:
        """Whether to stop between two steps."""
        return self._asked > 0

    def must(self) -> bool:
        """Whether to cancel the statement under way."""
        return self._asked > 1 or (self._limit is not None and monotonic() > self._limit)

    def ask(self, number: int) -> None:
        """Note that a person or a cluster has sent one of the two signals."""
        self._asked += 1
        if number == signal.SIGTERM:
            self._limit = self._limit or monotonic() + self.grace.total_seconds()
            words = f"stopping after this step; what lasts longer than {in_words(self.grace)} is cancelled (safe too)"
        elif self._asked == 1:
            words = "stopping after this step; Ctrl-C again cancels it (safe too)"
        else:
            words = "cancelling the statement under way"
        click.echo(words, err=True)


@contextmanager
def stopping(grace: timedelta) -> Iterator[Stop]:
    """Give the questions that a run asks, while we handle both signals.

    A thread reads them from the descriptor that Python's own handler writes to: the main thread may wait in C.
    """
    stop, (reads, writes) = Stop(grace), socketpair()
    writes.settimeout(0)  # what set_wakeup_fd asks for
    thread = Thread(target=_listen, args=(reads, stop), daemon=True)
    thread.start()
    descriptor = signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _third()) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor)
        writes.send(b"\0")
        thread.join()
        reads.close()
        writes.close()


@contextmanager
def pausing() -> Iterator[Callable[[], bool]]:
    """Give the question whether a run should wait: a SIGUSR1 begins the pause, the next one ends it."""
    is_asked = False

    def ask(_: int, __: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = not is_asked

    before = signal.signal(signal.SIGUSR1, ask)
    try:
        yield lambda: is_asked
    finally:
        signal.signal(signal.SIGUSR1, before)


def _listen(reads: socket, stop: Stop) -> None:
    while number := reads.recv(1)[0]:
        if number in SIGNALS:
            stop.ask(number)


def _third() -> Callable[[int, FrameType | None], None]:
    """Give a handler for the main thread that ignores two signals, and raises KeyboardInterrupt at the third."""
    arrived = 0

    def arrives(_: int, __: FrameType | None) -> None:
        nonlocal arrived
        arrived += 1
        if arrived > 2:
            raise KeyboardInterrupt

    return arrives
