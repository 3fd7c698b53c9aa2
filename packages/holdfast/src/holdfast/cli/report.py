"""Prints the events of a run as they come: a line per revision and step, and on a terminal a live line below."""

import sys
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from holdfast.cli.project import as_typed
from holdfast.errors.durations import roughly
from holdfast.errors.sizes import counted
from holdfast.execute.progress import (
    AutovacuumIsCancelled,
    BackfillMoved,
    BackfillPaused,
    Event,
    LagUnseen,
    LockBusy,
    NoGuardBehindPooler,
    PoolerNotTold,
    RevisionDone,
    RevisionResumed,
    RevisionStarted,
    RunPaused,
    StandbyNotAsked,
    StandbyReadersUnseen,
    StatementPlanned,
    StatementsDone,
    StepDone,
    StepsRecounted,
    StepStarted,
    StepWatched,
    UsersWaited,
    WaitingForLeader,
)
from holdfast.execute.verdict import GuardVerdict, Reason

if TYPE_CHECKING:
    from holdfast.cli.terminal import Terminal
    from holdfast.observe.watched_step import Watched


SHORTEST = "UPDATE"  # of a step, so that it says anything
LOG_EVERY = timedelta(seconds=30)  # a line of a long step in a log, at most


class Printer:
    """A report that prints to stderr and keeps what the last line on stdout says."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.done: list[RevisionDone] = []
        self.terminal = _terminal() if sys.stderr.isatty() else None
        self.steps: dict[str, list[str]] = {}  # of each revision that was started
        self.clock = clock
        self._last: dict[str, float] = {}  # when a line of a step was printed in a log
        self._waits_for = ""
        self._database: str | None = None  # of the revision that was started last

    def __call__(self, event: Event) -> None:  # noqa: C901  # one case an event, flat
        """Print what one event means for a person who watches the run."""
        match event:
            case WaitingForLeader(holder=holder):
                if holder != self._waits_for:  # a replica that waits says so once
                    self._waits_for = holder
                    self._line(f"waiting: another process migrates: {holder}")
            case StatementPlanned(revision=revision, steps=steps):
                self.steps[revision] += [step.describe() for step in steps]
            case RevisionStarted(direction=direction, revision=revision, description=description):
                if event.database != (self._database or event.database):
                    self._line(f"database {event.database}:")
                self._database = event.database
                self.steps[revision] = []
                self._line(f"{direction:<4} {revision} {description} ...")
            case RevisionDone(took=took):
                self.done.append(event)
                self._line(f"     done in {seconds(took)}")
            case StatementsDone():
                self._line(f"     {_executed(event)}")
            case RevisionResumed():
                self._line(f"     {resumed(event)}")
            case StepsRecounted(steps=steps, expected=expected):
                self._line(f"     {steps} steps, not {expected} as expected")
            case StepStarted(step=step):
                self._last[step] = self.clock()
                self._now(step, _number(event))
            case StepDone(started=started, took=took):
                self._step(started, took)
            case StepWatched(step=step, seen=seen):
                # Blockers are named as soon as they are seen; progress is shown now and then.
                key = f"{step} {seen.waits_for}"
                self._passing(step, in_words(seen), key=key, is_news=bool(seen.waits_for))
            case BackfillMoved(step=step, rows=rows, of=of, took=took):
                self._passing(step, moved(rows, of, took), key=step)
            case BackfillPaused(step=step, why=why):
                self._passing(step, f"waiting: {why}", key=f"{step} waits")
            case RunPaused(asked_by=asked_by):
                words = f"by {asked_by}; go on with holdfast resume, or with the signal again"
                self._passing("paused", as_typed(words), key="paused")
            case LockBusy(what=what, tries=tries, blockers=blockers):
                who = (
                    "; ".join(each.with_way_out for each in blockers) or "its holder is gone by now"
                )
                if tries & (tries - 1) == 0:  # 1, 2, 4, 8, ..: a log must not fill up
                    self._line(f"     lock not free, try {tries}: {what}: {who}")
                self._now(what, f"lock not free, try {tries}: {who}")
            case UsersWaited(what=what, tries=tries, verdict=verdict):
                self._line(f"     ended, {reason(verdict)}; try {tries}: {what}")
            case StandbyReadersUnseen() | StandbyNotAsked() | LagUnseen():
                self._line(f"     {about_standbys(event)}")
            case PoolerNotTold(pooler=pooler, problem=problem):
                self._line(
                    f"     the pooler {pooler} was not told to RECONNECT, and keeps its prepared statements: {problem}"
                )
            case NoGuardBehindPooler():
                self._line(
                    "     through a pooler, with a lease: known locks are brief, but nobody watches whether users wait."
                    " HOLDFAST_MIGRATION_URL, if there is a way to the server itself, brings the guard back"
                )
            case AutovacuumIsCancelled(lock_timeout=lock_timeout):
                self._line(
                    f"     an autovacuum is in the way: waiting up to {seconds(lock_timeout)} once, "
                    "so that the server cancels it"
                )

    def close(self) -> None:
        """Take the live line away, where there is a terminal."""
        if self.terminal is not None:
            self.terminal.close()

    def summary(self, *, nothing: str) -> str:
        """Give the last line of a run: which revisions are done, and how long that took."""
        if not self.done:
            return nothing
        verb = "applied" if self.done[0].direction == "up" else "reverted"
        took = sum((event.took for event in self.done), timedelta())
        is_one = len({event.database for event in self.done}) == 1
        revisions = ", ".join(
            event.revision if is_one else f"{event.revision} in {event.database}"
            for event in self.done
        )
        return f"{verb} {len(self.done)}: {revisions} ({seconds(took)})"

    def _line(self, words: str) -> None:
        if self.terminal is not None:
            self.terminal.print(words)
        else:
            print(words, file=sys.stderr, flush=True)

    def _step(self, started: StepStarted, took: timedelta) -> None:
        figures = (f"     {_number(started)}: ", f" ({seconds(took)})")
        step = started.step
        if self.terminal is not None:
            step = cut_to_fit(step, figures="".join(figures), width=self.terminal.width)
        self._line(f"{figures[0]}{step}{figures[1]}")

    def _now(self, step: str, figures: str) -> None:
        """Show what is going on in the live line; a log shows nothing."""
        if self.terminal is not None:
            self.terminal.now(live_line(step, figures=figures, width=self.terminal.width))

    def _passing(self, step: str, figures: str, *, key: str, is_news: bool = False) -> None:
        """Show progress within a long step: replaced by the next on a terminal, now and then a line in a log.

        What is news has its first line in a log at once.
        """
        if self.terminal is not None:
            self._now(step, figures)
        elif self._is_due(step, key, is_news=is_news):
            self._line(f"     {step}: {figures}")

    def _is_due(self, step: str, key: str, *, is_news: bool) -> bool:
        now = self.clock()
        before = self._last.get(key, None if is_news else self._last.get(step, 0.0))
        if before is not None and now - before < LOG_EVERY.total_seconds():
            return False
        self._last[key] = now
        return True


def _terminal() -> "Terminal":
    from holdfast.cli.terminal import Terminal  # loads rich, which a log does not need

    return Terminal()


def _number(started: StepStarted) -> str:
    return in_words_of(started.number, started.steps, may_be_more=started.may_be_more)


def in_words_of(number: int, steps: int, *, may_be_more: bool) -> str:
    """Say which step it is of how many."""
    from holdfast.rewrite.steps import (
        in_words,  # loads pydantic, which an empty database does not need
    )

    return in_words(number, steps, may_be_more=may_be_more)


def _executed(event: StatementsDone) -> str:
    """Say what the revision's function has executed, with the numbers of these steps."""
    first, last = event.number, event.number + len(event.statements) - 1
    words = in_words_of(last, event.steps, may_be_more=event.may_be_more)
    if first == last:
        return f"{words}: {event.statements[0]}"
    each = "; ".join(event.statements)
    return f"steps {first} to {words.removeprefix('step ')}, in one transaction: {each}"


def resumed(event: RevisionResumed) -> str:
    """Say where a run continues that was killed or stopped."""
    if event.number > event.steps and not event.may_be_more:
        return f"all {event.steps} steps were done before; only the version row is left"
    if event.number > event.steps:
        return f"continues after step {event.steps}"
    where = in_words_of(event.number, event.steps, may_be_more=event.may_be_more)
    return f"continues at {where}"


def about_standbys(event: StandbyReadersUnseen | StandbyNotAsked | LagUnseen) -> str:
    """Say what of standbys cannot be seen, what that means, and what changes it."""
    match event:
        case StandbyReadersUnseen(standbys=standbys):
            return (
                f"{counted(standbys, 'standby follows', 'standbys follow')} this server, and nobody can see who reads"
                " there: they may wait for a lock of this run as long as somebody reads the table there."
                " HOLDFAST_STANDBYS=URL,URL names them"
            )
        case StandbyNotAsked(standby=standby, problem=problem):
            return f"standby {standby} cannot be asked, the run goes on without it: {problem}"
        case LagUnseen(standbys=standbys, role=role):
            return (
                f"{role} cannot see how far {counted(standbys, 'standby is', 'standbys are')} behind, so no backfill"
                " waits for that:"
                f" GRANT pg_monitor TO {role}"
            )


def reason(verdict: GuardVerdict) -> str:
    """Say why the guard has ended a transaction."""
    if verdict.reason is Reason.USERS:
        return f"because {verdict.who} waited {seconds(verdict.waited)} for it"
    return (
        "because nobody watched it" if verdict.reason is Reason.SILENCE else "its lock was not free"
    )


def in_words(seen: "Watched") -> str:
    """Describe progress within a long step: its phase, its share, whom it waits for."""
    done = "" if seen.done is None else f" {seen.done:.0%}"
    waits = f", waits for {'; '.join(seen.waits_for)}" if seen.waits_for else ""
    return f"{seen.phase}{done}{waits}"


def moved(rows: int, of: int, took: timedelta) -> str:
    """Say how far a backfill is: its share, its rows, and the time that it still needs."""
    if not rows or of <= rows:
        return f"{rows:,} rows, nearly done"
    left = roughly(took * ((of - rows) / rows))
    return f"{rows / of:.0%}, {rows:,} of about {of:,} rows, {left} left"


def live_line(step: str, *, figures: str, width: int) -> str:
    """Compose the live line, to be put behind the spinner: as much of the step as fits, and the figures."""
    room = width - len("x ") - len(": ") - len(figures)
    if room < len(f"{SHORTEST}...") and len(step) > room:
        return figures
    return f"{step if len(step) <= room else f'{step[: room - 3]}...'}: {figures}"


def cut_to_fit(step: str, *, figures: str, width: int) -> str:
    """Cut the name of a step so that the figures beside it stay on the line."""
    room = max(12, width - len(figures))
    return step if len(step) <= room else step[: room - 3] + "..."


def seconds(duration: timedelta) -> str:
    """Write a duration for a person: 0.03 s."""
    return f"{duration.total_seconds():.2f} s"
