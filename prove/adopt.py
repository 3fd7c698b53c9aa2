"""Public projects that adopt holdfast with nothing but an install: their files, our command line.

For each: plain Alembic brings a database to the middle of the history, with rows in every table. Then `status`, `plan`,
`check`, `run` to the head (what `check` has found is applied by plain Alembic, and `run` goes on), `revert`, `run`
again; `generate --check`. Schema and rows end as with plain Alembic; no traceback; every
difference between models and migrations is one of those that were looked up by hand. One line a step; exit
status 1 when one does not hold.
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

sys.path.insert(0, str(Path(__file__).parent / "histories"))
sys.path.insert(0, str(Path(__file__).parent))

from environments import ADOPTED, HISTORIES, History, require_environment
from histories import Differs, holds, same
from processes import Processes
from rows import fill
from stock import State, Stock, state_of

from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.server import temporary_server

LIMIT = 900
REVERTED = 2
# Tables whose rows the revisions read: made-up ones are none of theirs.
UNFILLED = {"optuna": ("trial_params",)}
# What tells a project its database; each ships the alembic.ini that is used.
VARIABLES = {
    "argilla-server": "ARGILLA_DATABASE_URL",
    "arize-phoenix": "PHOENIX_SQL_DATABASE_URL",
}
# What the models have and the migrations have not, looked up by hand: the project's own, named for its reader.
DIFFERENCES = {
    "dstack": {
        **{
            f"ix_{table}_pipeline_fetch_q": "WHERE deleted = false in the models, deleted IS FALSE in the revision"
            for table in (
                "fleets",
                "gateway_computes",
                "instances",
                "placement_groups",
                "service_router_worker_sync",
                "volumes",
            )
        },
        "is_public": "the revision gives a server default, the model none",
    },
    "apache-airflow-core": {
        "idx_dag_run_queued_dags": "partial in the models; the revision's WHERE is for SQLite only",
        "idx_dag_run_running_dags": "partial in the models; the revision's WHERE is for SQLite only",
        "dagrun_asset_event_pkey": "(dag_run_id, event_id) in the models, (event_id, dag_run_id) in the revision",
    },
    "argilla-server": {
        "required": "the revisions give a server default, the models none",
    },
    "arize-phoenix": {
        "op.alter_column('": "BIGINT and JSONB in the revisions, Integer and JSON in the models: Alembic sees it, too",
        "TYPE character varying": "sets of words have a length in the models, none in the revisions",
        "server_default=": "of these columns, off and on; spans.status_code has one in the revision only",
    },
    "optuna": {
        "'WAITING'": "v1.2.0.a gives the type a label by a change of the column's type, which PostgreSQL does not do",
        "trial_heartbeats": "optuna makes the table when it starts, no revision does",
        "'trial_values'": "trial_id may be NULL in the revisions, not in the models",
        "'trials'": "the index of study_id: UNIQUE and by another name in the revisions",
    },
    "mlflow": {
        "cannot be created": "input_tags refers to inputs.input_uuid, which is not unique: no PostgreSQL takes it",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass(kw_only=True)
class Adoption:
    """One project on one server, as one of its engineers would use it."""

    history: History
    migrations: Path
    home: Path
    postgres: Postgres
    processes: Processes
    stock: Stock
    middle: int = 0
    expected: State | None = None
    template: str = ""  # the database in the middle, with rows
    live: str = ""  # its copy that holdfast migrates
    plain: str = ""  # its copy that plain Alembic has migrated
    refused: list[str] = field(default_factory=list)  # by check

    @property
    def revisions(self) -> list[str]:
        return self.stock.revisions

    # The command line.

    def call(self, program: str, *arguments: str, url: str, may: tuple[int, ...]) -> Ended:
        folder, named = self._place(url)
        command = " ".join((program, *arguments))
        try:
            ended = subprocess.run(
                [self.history.python.parent / program, *arguments],
                cwd=folder,
                env={**os.environ, "HOME": str(self.home), **named},
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Differs(f"{command}: not at its end after {LIMIT} s") from error
        words = f"{command}: exit {ended.returncode}"
        if "Traceback" in ended.stderr:
            raise Differs(f"{words}, a traceback:\n{ended.stderr[-3000:]}")
        if ended.returncode not in may:
            raise Differs(f"{words}:\n{ended.stdout[-1500:]}{ended.stderr[-1500:]}")
        return Ended(status=ended.returncode, out=ended.stdout, err=ended.stderr)

    def holdfast(self, *arguments: str, may: tuple[int, ...]) -> Ended:
        return self.call("holdfast", *arguments, url=self.live, may=may)

    def _place(self, url: str) -> tuple[Path, dict[str, str]]:
        """The folder of the project's alembic.ini, and how it is told its database."""
        if self.history.name == "dstack":
            return self.migrations.parent, {"DSTACK_DATABASE_URL": with_driver("asyncpg", url)}
        if self.history.name == "apache-airflow-core":
            home = {"AIRFLOW_HOME": str(self.home / "airflow")}
            url = with_driver("psycopg2", url)
            return self.migrations.parent, {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url, **home}
        if self.history.name in VARIABLES:
            variables = {VARIABLES[self.history.name]: with_driver("asyncpg", unquote(url))}
            return self.migrations.parent, variables
        if self.history.name == "optuna":  # its file is for SQLite
            said = {
                "script_location": self.migrations,
                "sqlalchemy.url": with_driver("psycopg2", url),
            }
            text = (self.migrations.parent / "alembic.ini").read_text()
            for option, value in said.items():
                line = f"{option} = {value}".replace("%", "%%")
                text = re.sub(rf"^{option} = .*$", line, text, flags=re.MULTILINE)
            (self.home / "alembic.ini").write_text(text)
            return self.home, {}
        # mlflow's alembic.ini is for its repository, and its history begins with tables: an own file says both.
        written = f"[alembic]\nscript_location = {self.migrations}\nscratch_start = before.sql\n"
        written += f"sqlalchemy.url = {with_driver('psycopg2', url).replace('%', '%%')}\n"
        (self.home / "alembic.ini").write_text(written)
        (self.home / "before.sql").write_text(self._before())
        return self.home, {}

    def _before(self) -> str:
        with self._copy(self.stock.at(0)) as url:
            state_of(url)  # without the table that is ours
            return schema_dump(url)

    @contextmanager
    def _copy(self, template: str) -> Iterator[str]:
        with self.postgres.database(template=template) as url:
            yield url

    # The steps, in their order.

    def fill(self) -> str:
        """In the middle, or later where plain Alembic can migrate made-up rows."""
        without = {*UNFILLED.get(self.history.name, ())}
        self.stock.at(0)
        self.middle = len(self.revisions) // 2
        while self.middle < len(self.revisions):
            self.template = self.postgres.create(template=self.stock.at(self.middle))
            made = fill(self.postgres.url(self.template), without=without)
            name = self.postgres.create(template=self.template)
            self.plain = self.postgres.url(name)
            error = self.processes.plain(self.plain, "heads").error
            if error is None:
                self.expected = state_of(self.plain)
                self.live = self.postgres.url(self.postgres.create(template=self.template))
                tables = sum(rows > 0 for rows in made.values())
                return f"{sum(made.values())} rows in {tables} tables after {self.middle} revisions"
            blamed = {table for table in made if f'"{table}"' in error} - without
            without |= blamed
            self.middle += 0 if blamed else 5
        raise Differs(f"plain Alembic cannot go on with these rows: {error}")

    def status(self) -> str:
        found = json.loads(self.holdfast("status", "--format", "json", may=(1,)).out)
        pending = [each["revision"] for each in found["pending"]]
        if pending != self.revisions[self.middle :]:
            raise Differs(f"pending: {pending}")
        return f"{len(pending)} pending"

    def plan(self) -> str:
        ended = self.holdfast("plan", "--format", "json", may=(0, 1))
        planned = json.loads(ended.out)["revisions"]
        refused = [each["revision"] for each in planned if each["refusal"]]
        if bool(refused) != bool(ended.status):
            raise Differs(f"exit {ended.status}, refused: {refused}")
        text = self.holdfast("plan", may=(ended.status,)).out
        if missing := [each["revision"] for each in planned if each["revision"] not in text]:
            raise Differs(f"not in the text: {missing}")
        steps = sum(len(each["steps"]) for each in planned)
        stops = f", would stop at {refused[0]}" if refused else ""
        return f"{len(planned)} revisions, {steps} steps{stops}"

    def run(self) -> str:
        """To the head. What `check` has found is for a maintenance window, by plain Alembic."""
        pending = self.revisions[self.middle :]
        for before, revision in zip([None, *pending], pending, strict=False):
            if revision in self.refused:
                if before not in (None, *self.refused):
                    self.holdfast("run", "--to", str(before), may=(0,))
                self.call("alembic", "upgrade", revision, url=self.live, may=(0,))
        self.holdfast("run", may=(0,))
        self.holdfast("status", may=(0,))
        self._same_as(self.live, self.expected)
        applied = len(pending) - len(self.refused)
        return f"{applied} applied, {len(self.refused)} left to plain Alembic, dump and rows equal"

    def revert(self) -> str:
        """As far down as plain Alembic comes; then up again."""
        down = self._plain_down()
        for _ in range(down):
            self.holdfast("revert", may=(0,))
        self._same_as(self.live, state_of(self.plain))
        self.processes.plain(self.plain, "heads")
        self.holdfast("run", may=(0,))
        self._same_as(self.live, state_of(self.plain))
        return f"{down} down and up again, dump and rows equal to plain Alembic's"

    def _plain_down(self) -> int:
        for down in range(REVERTED):
            ended = self.call("alembic", "downgrade", "-1", url=self.plain, may=(0, 1))
            if ended.status:
                return down
        return REVERTED

    def generate(self) -> str:
        ended = self.holdfast("generate", "--check", may=(0, 1))
        lines = [
            line
            for line in (ended.out + ended.err).splitlines()
            if re.search(r"\bop\.|cannot", line)
        ]
        known = DIFFERENCES[self.history.name]
        if unknown := [line for line in lines if not any(name in line for name in known)]:
            raise Differs("not looked up yet:\n" + "\n".join(unknown))
        return f"{len(known)} differences, all real: " + "; ".join(
            f"{n}: {why}" for n, why in known.items()
        )

    def check(self) -> str:
        since = self.revisions[self.middle - 1]
        ended = self.holdfast("check", "--since", since, "--format", "json", may=(0, 1))
        found = json.loads(ended.out)
        rules = Counter(finding["rule"] for finding in found)
        self.refused = [
            each["message"].split()[1].rstrip(":") for each in found if each["rule"] == "online"
        ]
        for finding in found:
            if finding["rule"] == "replays":
                raise Differs(finding["message"])
        return ", ".join(f"{number} {rule}" for rule, number in rules.items()) or "nothing found"

    def _same_as(self, url: str, expected: State | None) -> None:
        assert expected is not None
        with self._copy(url.rpartition("/")[2].partition("?")[0]) as copy:
            same(state_of(copy), expected)

    def all(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "rows made", self.fill
        yield "status", self.status
        yield "plan", self.plan
        yield "check", self.check
        yield "run", self.run
        yield "revert", self.revert
        yield "generate --check", self.generate


def with_driver(driver: str, url: str) -> str:
    return url.replace("postgresql:", f"postgresql+{driver}:", 1)


def prove(history: History) -> bool:
    migrations = require_environment(history)
    with (
        temporary_server(major=18) as server,
        tempfile.TemporaryDirectory() as folder,
        Processes(history, migrations=migrations, folder=Path(folder)) as processes,
    ):
        postgres, revisions = postgres_at(server.url()), processes.revisions()
        adoption = Adoption(
            history=history,
            migrations=migrations,
            home=Path(folder),
            postgres=postgres,
            processes=processes,
            stock=Stock(
                history=history, postgres=postgres, processes=processes, revisions=revisions
            ),
        )
        held = [holds(history.name, what, step) for what, step in adoption.all()]
    return all(held)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove adopt", description=__doc__)
    histories = (*HISTORIES, *ADOPTED)
    names = [history.name for history in histories]
    parser.add_argument("names", nargs="*", choices=[*names, []])
    wanted = parser.parse_args().names or names
    logging.getLogger("psycopg").setLevel(
        logging.ERROR
    )  # of made-up rows that a table does not take
    held = [prove(history) for history in histories if history.name in wanted]
    print("every step holds" if all(held) else "some steps do not hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
