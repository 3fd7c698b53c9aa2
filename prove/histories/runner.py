"""Migrates one public history in its own virtual environment: started with it, told by lines of JSON what to do.

An order names the database, the target, plain Alembic or holdfast, and where the process is to die. Each runs in a
process of its own, forked after the project's imports. The answer is one line of JSON.
"""

import json
import logging
import os
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url

from holdfast.errors.statement import BreaksRunningCode, LongStatement
from holdfast.execute.progress import Event, RevisionDone, RevisionStarted
from holdfast.execute.session import MigrationSession, OwnEngine
from holdfast.intercept import revision_interceptor
from holdfast.migrate.baseline import baseline
from holdfast.migrate.run import upgrade
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.queue import unit_steps
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.single_transaction import refuse_undivided
from holdfast.rewrite.statement import Exemption, Statement, shortened
from holdfast.rewrite.steps import Step

KILLED = 137
READS = ("select", "show", "with")


def with_driver(driver: str, url: str) -> str:
    """The URL with the driver that the project uses."""
    return (
        make_url(url).set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
    )


def dstack(folder: Path, url: str) -> Config:
    db = import_module("dstack._internal.server.db")
    url = with_driver("asyncpg", url)
    db.override_db(db.Database(url=url))
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("recursive_version_locations", "true")
    config.set_main_option("path_separator", "os")
    return config


def mlflow(folder: Path, url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("sqlalchemy.url", with_driver("psycopg2", url).replace("%", "%%"))
    return config


def airflow(folder: Path, url: str) -> Config:
    settings = import_module("airflow.settings")
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = with_driver("psycopg2", url)
    settings.configure_vars()
    settings.configure_orm()
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def argilla(folder: Path, url: str) -> Config:
    return told_by("ARGILLA_DATABASE_URL", folder, url)


def phoenix(folder: Path, url: str) -> Config:
    return told_by("PHOENIX_SQL_DATABASE_URL", folder, url)


def told_by(variable: str, folder: Path, url: str) -> Config:
    """The project reads its URL, for asyncpg, from a variable when env.py imports it."""
    os.environ[variable] = unquote(with_driver("asyncpg", url))  # env.py of Argilla takes no %
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def prepare(name: str, url: str) -> None:
    """What the project does in an empty database before its first revision."""
    if name == "mlflow":
        initial = import_module("mlflow.store.tracking.dbmodels.initial_models")
        initial.Base.metadata.create_all(create_engine(with_driver("psycopg2", url)))


CONFIGS: dict[str, tuple[Callable[[Path, str], Config], tuple[str, ...]]] = {
    "dstack": (dstack, ("dstack._internal.server.db", "dstack._internal.server.models")),
    "mlflow": (mlflow, ("mlflow.store.db.base_sql_model",)),
    "argilla-server": (argilla, ()),
    "arize-phoenix": (phoenix, ()),
    "optuna": (mlflow, ("optuna.storages._rdb.models",)),
    "apache-airflow-core": (airflow, ("airflow.models", "airflow.settings", "airflow.utils.db")),
}


NOT_COPIED = "It is executed by a copy of the column, but not here. "


def _reason(error: LongStatement | BreaksRunningCode) -> str:
    """Why it is refused; of a change of a type also why its column is not copied."""
    if isinstance(error, BreaksRunningCode):
        return f"breaks {error.breaks}"
    why = error.work.rstrip(",")
    _, is_type_change, not_copied = error.instead.partition(NOT_COPIED)
    return f"{why}: {not_copied}" if is_type_change else why


class Watch:
    """Counts what a process does in each revision, kills it where it is told to, remembers who sent what."""

    def __init__(self, order: dict[str, Any], folder: Path) -> None:
        self.spared = set(order.get("spared", ()))
        self.points = order.get("points", {})
        self.seed = order.get("seed")
        self.folder = folder
        self.revision: str | None = None
        self.counts: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.sources: dict[str, tuple[str, int]] = {}
        self.refused: list[tuple[str, int]] = []
        self.reasons: Counter[str] = Counter()
        self.limit = 0

    def report(self, told: Event) -> None:
        if isinstance(told, RevisionStarted):
            self.revision = told.revision
            points = self.points.get(told.revision)
            if self.seed is not None and points and told.revision not in self.spared:
                self.limit = random.Random(f"{self.seed} {told.revision}").randint(1, points)
        elif isinstance(told, RevisionDone):
            self.revision, self.limit = None, 0

    def listen(self) -> None:
        event.listen(Engine, "before_cursor_execute", self._statement)
        commit = MigrationSession.commit

        def committing(session: MigrationSession) -> None:
            self._point()
            commit(session)
            self._point()

        MigrationSession.commit = committing  # type: ignore[method-assign]  # what a kill may hit

    def excuse_everything(self) -> None:
        """Note where something is refused, and go on as with an exemption."""
        for module in (revision_interceptor, unit_steps):
            module.rewrite = self._rewrite  # type: ignore[attr-defined]  # to find all of them in one pass
        revision_interceptor.refuse_undivided = self._refuse_undivided  # type: ignore[attr-defined]  # the same

    def _rewrite(
        self, statement: Statement, *, facts: Facts, today: date, ahead: Sequence[QueueEntry] = ()
    ) -> tuple[Step, ...]:
        try:
            return rewrite(statement, facts=facts, today=today, ahead=ahead)
        except (LongStatement, BreaksRunningCode) as error:
            if (line := self.excusable(error)) is None:
                raise
            self._note(line, error)
            exempted = replace(statement, exemption=Exemption(reason="history", until=date.max))
            return rewrite(exempted, facts=facts, today=today)

    def _refuse_undivided(self, statement: Statement, *, facts: Facts, today: date) -> None:
        try:
            refuse_undivided(statement, facts=facts, today=today)
        except (LongStatement, BreaksRunningCode) as error:
            if (line := self.excusable(error)) is None:
                raise
            self._note(line, error)

    def _note(self, line: tuple[str, int], error: LongStatement | BreaksRunningCode) -> None:
        """A statement counts once, though it is looked at when it is sent and when its turn comes."""
        if line not in self.refused:
            self.reasons[_reason(error)] += 1
        self.refused.append(line)

    def _statement(self, connection: Any, cursor: Any, sql: str, *_: object) -> None:
        self._point()
        if self.revision is None or isinstance(connection.engine, OwnEngine):
            return
        if not sql.lstrip().lower().startswith(READS):
            self.writes[self.revision] += 1
        if (line := self._line()) is not None:
            self.sources[shortened(sql.replace("%%", "%"))] = line

    def _point(self) -> None:
        if self.revision is None:
            return
        self.counts[self.revision] += 1
        if self.limit and self.counts[self.revision] == self.limit:
            answer({"killed": self.revision})
            os._exit(KILLED)

    def _line(self) -> tuple[str, int] | None:
        frame = sys._getframe()  # noqa: SLF001  # documented, and the only way to the caller's line
        while frame is not None:
            if frame.f_code.co_filename.startswith(f"{self.folder}/versions"):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]  # ends in None
        return None

    def excusable(self, error: BaseException) -> tuple[str, int] | None:
        """The line of the statement that was refused."""
        if not isinstance(error, LongStatement | BreaksRunningCode):
            return None
        return self._line_in(error) or self._line() or self.sources.get(shortened(error.statement))

    def _line_in(self, error: BaseException) -> tuple[str, int] | None:
        here = [
            (frame.filename, frame.lineno or 0)
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(f"{self.folder}/versions")
        ]
        return here[-1] if here else None


def answer(said: dict[str, Any]) -> None:
    os.write(ANSWERS, json.dumps(said).encode() + b"\n")


def perform(order: dict[str, Any], name: str, folder: Path) -> None:
    watch = Watch(order, folder)
    try:
        if order.get("prepare"):
            prepare(name, order["url"])
            answer({})
            return
        config = CONFIGS[name][0](folder, order["url"])
        if order.get("baseline"):
            baseline(config, order["target"])
        elif order["plain"]:
            command.upgrade(config, order["target"])
        else:
            watch.listen()
            if order.get("excuse_everything"):
                watch.excuse_everything()
            upgrade(config, order["target"], report=watch.report)
        answer(
            {
                "counts": watch.counts,
                "writes": watch.writes,
                "refused": watch.refused,
                "reasons": watch.reasons,
            }
        )
    except BaseException as error:  # noqa: BLE001  # it is told, whatever it is
        traceback.print_exc()
        excusable = watch.excusable(error)
        said = f"{type(error).__name__}: {shortened(str(error), to=600)}"
        answer({"error": said, "revision": watch.revision, "excusable": excusable})
        os._exit(1)


def forked(order: dict[str, Any], name: str, folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    perform(order, name, folder)
    sys.stdout.flush()
    os._exit(0)


def main(name: str, folder: Path) -> None:
    logging.basicConfig(level=logging.WARNING)
    sys.path.insert(0, str(folder.parent))
    for module in CONFIGS[name][1]:
        import_module(module)
    answer({"done": True})
    for line in sys.stdin:
        order = json.loads(line)
        if "list" in order:
            script = ScriptDirectory(str(folder), recursive_version_locations=True)
            for revision in reversed(list(script.walk_revisions())):
                answer({"revision": revision.revision})
            answer({"done": True})
            continue
        for child in [forked(order, name, folder) for _ in range(order.get("replicas", 1))]:
            os.waitpid(child, 0)
        answer({"done": True})


ANSWERS = os.dup(1)
os.dup2(2, 1)  # what the project prints goes to the log

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
