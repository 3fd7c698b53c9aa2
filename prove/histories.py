"""Public histories through holdfast: the schema and the rows that plain Alembic gives, also after kills.

For each history: from empty, and with every table treated as in use; killed once in every revision of two or
more writes; from every revision; three replicas at once; from a middle revision with rows in every table. `--quick`:
one seed, every tenth revision. One line a proof; exit status 1 when one does not hold, 3 when a history cannot be
installed. Statements that holdfast refuses get an exemption in a copy of the history, as their author would write it;
they are counted.
"""

import argparse
import difflib
import logging
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))
sys.path.insert(0, str(Path(__file__).parent / "histories"))

from environments import HISTORIES, History, require_environment
from exemptions import excuse_lines
from processes import Answer, Processes
from rows import fill
from stock import State, Stock, state_of

from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server

SEEDS = (1, 2, 3)
REPLICAS = 3
SHOWN = 40  # lines of a difference


class Differs(Exception):
    """Not what plain Alembic gives."""


@dataclass(kw_only=True)
class Proof:
    """One history on one server."""

    history: History
    postgres: Postgres
    processes: Processes
    stock: Stock
    expected: State
    stride: int
    seeds: tuple[int, ...]
    exemptions: int = 0
    points: dict[str, int] = field(default_factory=dict)

    @property
    def revisions(self) -> list[str]:
        return self.stock.revisions

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        with self.postgres.database(template=template) as url:
            yield url

    def ends_as_expected(self, url: str, answer: Answer) -> None:
        if answer.error or answer.killed:
            raise Differs(f"{answer.revision}: {answer.error or 'killed'}")
        same(state_of(url), self.expected)

    # What is shown, one after the other.

    def from_empty(self) -> str:
        with self.database() as url:
            self.processes.prepare(url)
            if state_of(url).rows:
                self.processes.baseline(url)
            self.ends_as_expected(url, self.processes.holdfast(url))
        return "dump and rows equal"

    def exempted(self) -> str:
        """One pass that notes what is refused with every table in use, and does it all the same."""
        with self.database(self.stock.at(0)) as url:
            self.processes.baseline(url)
            answer = self.processes.holdfast(url, excuse_everything=True)
        if answer.error:
            raise Differs(f"{answer.revision}: {answer.error}")
        self.exemptions += excuse_lines(answer.refused)
        why = Counter(answer.reasons).most_common()
        reasons = "".join(f"\n          {number:4} {reason}" for reason, number in why)
        return f"{self.exemptions} statements needed an exemption{reasons}\n         "

    def exemption(self, answer: Answer) -> None:
        """Exemption what was refused after all. Everything else is a failure."""
        if answer.excusable is None:
            raise Differs(f"{answer.revision}: {answer.error}")
        self.exemptions += excuse_lines([answer.excusable])

    def in_use(self) -> str:
        with self.database(self.stock.at(0)) as url:
            self.processes.baseline(url)
            answer = self.processes.holdfast(url)
            self.ends_as_expected(url, answer)
        several = [revision for revision in self.revisions if answer.writes.get(revision, 0) > 1]
        self.points = {revision: answer.counts[revision] for revision in several[:: self.stride]}
        return "dump and rows equal"

    def killed(self, seed: int) -> str:
        """One process after the other: each is killed once in the next revision that can be."""
        spared: list[str] = []
        failures: list[str] = []
        url = self.postgres.url(self.postgres.create(template=self.stock.at(0)))
        self.processes.baseline(url)
        while True:
            answer = self.processes.holdfast(url, seed=seed, points=self.points, spared=spared)
            if answer.killed is not None:
                spared.append(answer.killed)
                continue
            if answer.error is None:
                break
            assert answer.revision is not None, answer.error
            if not self.fails_plainly(answer, start=self.stock.before(answer.revision)):
                failures.append(f"{answer.revision}: {answer.error}")
            after = self.stock.before(answer.revision) + 1
            self.postgres.drop(url.rpartition("/")[2].partition("?")[0])
            url = self.postgres.url(self.postgres.create(template=self.stock.at(after)))
            spared.append(answer.revision)
        state = state_of(url)
        self.postgres.drop(url.rpartition("/")[2].partition("?")[0])
        if failures:
            raise Differs(f"{len(failures)} revisions cannot be resumed:\n" + "\n".join(failures))
        same(state, self.expected)
        return f"{len(spared)} kills, dump and rows equal"

    def fails_plainly(self, answer: Answer, *, start: int) -> bool:
        """Whether this is one of the named revisions, and a new process of plain Alembic fails too."""
        if answer.revision not in self.history.excepted:
            return False
        with self.database(self.stock.at(start)) as url:
            return self.processes.plain(url, answer.revision).error is not None

    def from_each_revision(self) -> str:
        failures, excepted = [], 0
        starts = range(1, len(self.revisions), self.stride)
        for applied in starts:
            with self.database(self.stock.at(applied)) as url:
                answer = self.processes.holdfast(url)
                if self.fails_plainly(answer, start=applied):
                    excepted += 1
                    continue
                try:
                    self.ends_as_expected(url, answer)
                except Differs as error:
                    failures.append(f"from {self.revisions[applied - 1]}: {error}")
        if failures:
            raise Differs("\n".join(failures))
        note = f", {excepted} where plain Alembic fails too" if excepted else ""
        return f"from {len(starts)} revisions{note}, dump and rows equal"

    def replicas(self) -> str:
        with self.database(self.stock.at(0)) as url:
            self.processes.baseline(url)
            answers = self.processes.replicas(url, REPLICAS)
            for answer in answers:
                self.ends_as_expected(url, answer)
            ran = [answer for answer in answers if answer.counts]
        return f"{len(answers)} processes, {len(ran)} migrated, dump and rows equal"

    def with_rows(self) -> str:
        """From the middle, or a later revision from which plain Alembic can migrate made-up rows."""
        without: set[str] = set()
        applied = len(self.revisions) // 2
        while applied < len(self.revisions):
            with self.database(self.stock.at(applied)) as filled:
                made = fill(filled, without=without)
                template = filled.rpartition("/")[2].partition("?")[0]
                with self.database(template) as url:
                    plain = self.processes.plain(url, "heads")
                    expected = state_of(url)
                if plain.error is None:
                    self.ends_like_plain(template, expected)
                    tables = sum(rows > 0 for rows in made.values())
                    left_out = f" (plain Alembic fails with rows in {', '.join(sorted(without))})"
                    return (
                        f"{sum(made.values())} rows in {tables} tables after {applied} revisions"
                        f"{left_out if without else ''}, dump and rows equal"
                    )
            blamed = {table for table in made if f'"{table}"' in plain.error} - without
            without |= blamed
            message = f"with rows after {applied} revisions, plain Alembic: {plain.error}"
            print(message, file=sys.stderr, flush=True)
            applied += 0 if blamed else 5
        raise Differs(f"plain Alembic cannot go on with these rows either: {plain.error}")

    def ends_like_plain(self, template: str, expected: State) -> None:
        """On a copy of a database, with exemptions where rows make a statement long."""
        while True:
            with self.database(template) as url:
                answer = self.processes.holdfast(url)
                if answer.error is None:
                    same(state_of(url), expected)
                    return
            self.exemption(answer)

    def all(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "statements refused", self.exempted
        yield "from empty", self.from_empty
        yield "every table in use", self.in_use
        for seed in self.seeds:
            yield f"killed in each revision, seed {seed}", lambda seed=seed: self.killed(seed)
        yield "three replicas", self.replicas
        yield "from the middle, with rows", self.with_rows
        yield "from each revision", self.from_each_revision


def same(state: State, expected: State) -> None:
    if state.schema != expected.schema:
        difference = difflib.unified_diff(
            expected.schema.splitlines(), state.schema.splitlines(), "plain", "holdfast", n=2
        )
        raise Differs("the schema differs:\n" + "\n".join(list(difference)[:SHOWN]))
    if state.rows != expected.rows:
        tables = {*state.rows, *expected.rows}
        differing = {t: (expected.rows.get(t), state.rows.get(t)) for t in tables}
        raise Differs(
            f"rows differ (plain, holdfast): { {t: n for t, n in differing.items() if n[0] != n[1]} }"
        )


def holds(name: str, what: str, check: Callable[[], str]) -> bool:
    since = time.monotonic()
    try:
        found = check()
    except Differs as error:
        print(f"FAILED  {name:20} {what}: {error}", flush=True)
        return False
    print(f"holds   {name:20} {what}: {found} ({time.monotonic() - since:.0f} s)", flush=True)
    return True


def prove(history: History, *, quick: bool, only: str) -> bool:
    migrations = require_environment(history)
    with (
        temporary_server(major=18) as server,
        tempfile.TemporaryDirectory() as folder,
        Processes(history, migrations=migrations, folder=Path(folder)) as processes,
    ):
        postgres = postgres_at(server.url())
        stock = Stock(
            history=history,
            postgres=postgres,
            processes=processes,
            revisions=processes.revisions(),
        )
        with postgres.database(template=stock.at(0)) as url:
            plain = processes.plain(url, "heads")
            if plain.error:
                raise Differs(f"plain Alembic: {plain.error}")
            expected = state_of(url)
        proof = Proof(
            history=history,
            postgres=postgres,
            processes=processes,
            stock=stock,
            expected=expected,
            stride=10 if quick else 1,
            seeds=SEEDS[:1] if quick else SEEDS,
        )
        print(f"{history.name}: {len(stock.revisions)} revisions", flush=True)
        held = [
            holds(history.name, what, check) for what, check in proof.all() if re.search(only, what)
        ]
    return all(held)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove histories", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, every tenth revision")
    parser.add_argument("--only", default="", help="proofs whose name matches this")
    names = [history.name for history in HISTORIES]
    parser.add_argument("names", nargs="*", choices=[*names, []])
    arguments = parser.parse_args()
    # Of made-up rows that a table does not take.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    held = [
        prove(history, quick=arguments.quick, only=arguments.only)
        for history in HISTORIES
        if not arguments.names or history.name in arguments.names
    ]
    print("every proof holds" if all(held) else "some proofs do not hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
