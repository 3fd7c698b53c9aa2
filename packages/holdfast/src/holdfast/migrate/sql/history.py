"""A folder of SQL files as a history of revisions, as ScriptDirectory is for Alembic's.

The order is that of the database: what is applied first, then what is pending, each in the order of the folder. So a
file that was merged late is simply the next one, where its tool takes it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import alembic.context
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from alembic.util import CommandError
from sqlalchemy import Engine

from holdfast.engine.create_engine import create_migration_engine
from holdfast.engine.settings import Settings
from holdfast.errors import HoldfastError
from holdfast.errors.sql import NoWayBack, OutOfOrder, WrongMigrationFile
from holdfast.migrate.sql.function import ScriptFunction, function_of
from holdfast.migrate.sql.layout import Layout, RecordedFiles, ScriptFile
from holdfast.migrate.sql.recorded_context import RecordedContext
from holdfast.migrate.sql.single_script import SingleScript


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSource:
    """SQL files, and the database that they are for."""

    path: Path
    layout: Layout
    settings: Settings | None = None  # None: the environment's, when they are needed

    @property
    def is_without_history(self) -> bool:
        """Whether it is a script by itself, with no history of its own."""
        return isinstance(self.layout, SingleScript)


class SqlRevision(Script):
    """One SQL file as a revision of Alembic."""

    @classmethod
    def verify_rev_id(cls, revision: str) -> None:
        """Accept any name: file names have characters that Alembic reserves."""

    @property
    def has_way_back(self) -> bool:
        """Whether its file has a script that takes it back."""
        return isinstance(self.module.downgrade, ScriptFunction)


class SqlHistory(ScriptDirectory):
    """The files of a source, in the order in which they are applied."""

    def __init__(self, source: SqlSource) -> None:
        is_folder = source.path.is_dir()
        super().__init__(source.path if is_folder else source.path.absolute().parent)
        self.source = source
        self.files = source.layout.files(source.path)
        self.edited: tuple[str, ...] = ()
        _require_one_each(self.files, source.layout)
        self._functions = {
            file.version: (_up(file), _down(file, source.layout)) for file in self.files
        }
        self._order: tuple[str, ...] | None = None
        self._arrange(frozenset())

    @property
    def env_py_location(self) -> str:
        """The project's place: there is no env.py, and callers only need the folder."""
        return str(self.source.path)

    def file(self, version: str) -> ScriptFile:
        """The file of a revision."""
        return next(file for file in self.files if file.version == version)

    def heads_for(self, recorded: RecordedFiles) -> tuple[str, ...]:
        """Say where a database is: the last applied file, and recorded ones that this folder lacks.

        Puts what is pending behind it. Raises OutOfOrder.
        """
        self.edited = recorded.edited
        applied = [file.version for file in self.files if file.version in recorded.applied]
        if applied and not self.source.layout.in_any_order:
            self._require_order(applied)
        self._arrange(recorded.applied)
        return (*applied[-1:], *recorded.unknown)

    def _require_order(self, applied: Sequence[str]) -> None:
        """Raise if numbers do not grow: a pending file before an applied one came too late."""
        names = [file.version for file in self.files if not file.version.startswith("R__")]
        numbered = [version for version in applied if version in names]
        last = names.index(numbered[-1]) if numbered else -1
        late = tuple(name for name in names[: last + 1] if name not in applied)
        if late:
            raise OutOfOrder(versions=late, layout=self.source.layout.name)

    def _arrange(self, applied: frozenset[str]) -> None:
        every = [file.version for file in self.files]
        order = (
            *(version for version in every if version in applied),
            *(version for version in every if version not in applied),
        )
        if order != self._order:
            self._order = order
            below = (None, *order)
            scripts = [
                self._revision(self.file(version), down)
                for version, down in zip(order, below, strict=False)
            ]
            self.revision_map = RevisionMap(lambda: scripts)

    def _revision(self, file: ScriptFile, below: str | None) -> SqlRevision:
        up, down = self._functions[file.version]  # an error in place of a function is never called
        module: Any = SimpleNamespace(
            upgrade=up, downgrade=down, down_revision=below, __doc__=file.description
        )
        return SqlRevision(module, file.version, file.path)

    # What Alembic's class finds by expressions like "head", "+2", "abc:def"; names of files may look like these.

    def walk_revisions(self, base: str = "base", head: str = "heads") -> Iterator[Script]:
        """The revisions from the last one to the first, both included."""
        order = self._order or ()
        first = 0 if base == "base" else self._place(base)
        last = len(order) - 1 if head in ("head", "heads") else self._place(head)
        for version in reversed(order[first : last + 1]):
            yield self._script(version)

    def _upgrade_revs(self, destination: str, current_rev: str) -> list[RevisionStep]:
        order, at = self._order or (), self._at(current_rev)
        if destination in ("head", "heads"):
            end = len(order) - 1
        elif destination.startswith("+") and destination[1:].isdigit():
            end = min(at + int(destination[1:]), len(order) - 1)
        else:
            end = self._place(destination)
        wanted = order[at + 1 : end + 1]
        if refusal := self.refusal_of(wanted):
            raise refusal
        return [
            MigrationStep.upgrade_from_script(self.revision_map, self._script(version))
            for version in wanted
        ]

    def refusal_of(self, versions: Iterable[str]) -> HoldfastError | None:
        """Say why one of these files cannot be applied; applied ones are not checked."""
        found = (self._functions[version][0] for version in versions)
        return next((each for each in found if isinstance(each, HoldfastError)), None)

    def _downgrade_revs(self, destination: str, current_rev: str | None) -> list[RevisionStep]:
        order, at = self._order or (), self._at(current_rev)
        if destination == "base":
            end = -1
        elif destination.startswith("-") and destination[1:].isdigit():
            end = max(at - int(destination[1:]), -1)
        else:
            end = self._place(destination)
        return [
            MigrationStep.downgrade_from_script(self.revision_map, self._script(version))
            for version in reversed(order[end + 1 : at + 1])
        ]

    def _at(self, heads: str | Iterable[str] | None) -> int:
        """Give the position of the last applied file; -1 if there is none."""
        named = (heads,) if isinstance(heads, str) else tuple(heads or ())
        return max((self._place(each) for each in named if each in (self._order or ())), default=-1)

    def _place(self, version: str) -> int:
        order = self._order or ()
        if version not in order:
            raise CommandError(f"There is no migration {version!r} in {self.source.path}")
        return order.index(version)

    def _script(self, version: str) -> Script:
        found = self.get_revision(version)
        assert found is not None  # noqa: S101  # it is in the order
        return found

    def run_env(self) -> None:
        """Connect as an env.py does, and let Alembic's caller do its work."""
        engine = self._engine()
        with engine.connect() as connection:
            table = self.source.layout.table
            alembic.context.configure(
                connection=connection, version_table=table.name, version_table_schema=table.schema
            )
            environment: EnvironmentContext = vars(alembic.context)[
                "_proxy"
            ]  # whose caller calls this
            found = alembic.context.get_context()
            environment._migration_context = RecordedContext(  # noqa: SLF001  # as configure() sets it
                found.dialect, found.connection, found.opts, environment
            )
            with alembic.context.begin_transaction():
                alembic.context.run_migrations()

    def _engine(self) -> Engine:
        return create_migration_engine(self.source.settings or Settings())


def _up(file: ScriptFile) -> ScriptFunction | HoldfastError:
    """Give the function of a file, or the reason why there is none."""
    if file.problem is not None:
        return file.problem
    try:
        return function_of(file.up, path=file.path, is_one_transaction=file.is_one_transaction)
    except HoldfastError as problem:
        return problem


def _down(file: ScriptFile, layout: Layout) -> Callable[..., None]:
    problem: HoldfastError = NoWayBack(revision=file.version, layout=layout.name)
    if file.down is not None:
        whole = file.is_back_one_transaction
        try:
            return function_of(file.down, path=file.path, is_one_transaction=whole)
        except HoldfastError as found:
            problem = found

    def downgrade(**arguments: Any) -> None:
        raise problem

    return downgrade


def _require_one_each(files: Sequence[ScriptFile], layout: Layout) -> None:
    """Raise WrongMigrationFile if two files would be recorded under the same version."""
    seen: dict[str, ScriptFile] = {}
    for file in files:
        if other := seen.get(file.version):
            said = f"{other.path.name} is recorded as {file.version} too"
            raise WrongMigrationFile(place=str(file.path), layout=layout.name, said=said)
        seen[file.version] = file
