"""Compares one database's models with its history: Alembic's operations, corrected and completed.

Each line is executed on the scratch database as the revision will have it, so that what cannot be executed is not
written, and what is left to do afterwards is seen in the catalogs.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op, renderers
from alembic.config import Config
from alembic.operations import Operations, ops
from alembic.operations.ops import MigrateOperation, MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from mako.pygen import PythonPrinter  # type: ignore[import-untyped]  # has no types
from sqlalchemy.exc import DBAPIError

from holdfast.errors.database import NoModels
from holdfast.errors.scratch import ModelsNotCreated
from holdfast.execute.session import MigrationSession
from holdfast.migrate.project_connection import ProjectConnection, on_every_pass
from holdfast.observe.other_tools import is_of_another_tool
from holdfast.observe.schema import SchemaForm, names_from, schema_of, table_names
from holdfast.observe.schema_constants import SCHEMA
from holdfast.preview.compare.constraint_names import name_constraints
from holdfast.preview.compare.models import create_models, put_aside, tables_of
from holdfast.preview.compare.phantoms import without_phantoms, without_what_is_gone
from holdfast.preview.compare.renames import Rename, candidates, follow_up
from holdfast.preview.compare.revision_source import Change, write_percent_signs_once
from holdfast.preview.compare.same_spelling import in_one_spelling
from holdfast.preview.compare.schema_changes import own_sequence, table_changes
from holdfast.preview.compare.type_changes import enum_changes, new_sequences, new_types
from holdfast.preview.compare.type_source import write_types_of_their_own
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.statement import shortened

ROUNDS = 3  # a column that is made anew takes its indexes along: they are found in the next round
IMPORT = re.compile(r"^(?:import|from)\s[^$\n]+$", re.MULTILINE)
TRY, UNDO = "SAVEPOINT holdfast_tries", "ROLLBACK TO SAVEPOINT holdfast_tries"
TRY_BACK, UNDO_BACK = "SAVEPOINT holdfast_goes_back", "ROLLBACK TO SAVEPOINT holdfast_goes_back"

Ask = Callable[[Rename], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The target_metadata that env.py gives to Alembic for one database, and what it creates there."""

    metadata: tuple[sa.MetaData, ...]
    default_schema: str  # that names without one mean
    wanted: SchemaForm


class WrittenOp(MigrateOperation):
    """A line of a revision that exists only as source."""

    def __init__(self, source: str) -> None:
        self.source = source


@renderers.dispatch_for(WrittenOp)
def _render(_: AutogenContext, operation: WrittenOp) -> str:
    return operation.source


def renamed_by_nobody(_: Rename) -> bool:
    """Agree to no rename: nobody can be asked, so it is a drop and an add."""
    return False


def models_of(config: Config) -> tuple[Models, ...]:
    """Create the models of each database on its scratch copy, in the session that env.py makes. Raises NoModels."""

    def look(project: ProjectConnection) -> tuple[int, Models]:
        given = project.context.opts["target_metadata"]
        if given is None:
            raise NoModels(file=str(project.script.env_py_location))
        metadata = (given,) if isinstance(given, sa.MetaData) else tuple(given)
        default_schema = project.connection.dialect.default_schema_name or "public"
        with closing(MigrationSession(project.connection)) as session:
            wanted = _created(session, metadata, default_schema)
            session.commit()
        models = Models(metadata=metadata, default_schema=default_schema, wanted=wanted)
        return project.database.number, models

    found = on_every_pass(config, look)
    return tuple(dict(reversed(found))[number] for number in sorted(dict(found)))


def _created(
    session: MigrationSession, metadata: tuple[sa.MetaData, ...], default_schema: str
) -> SchemaForm:
    names = tables_of(metadata, default_schema)
    left = {name for name in table_names(session.connection) if not is_of_another_tool(name.name)}
    try:
        put_aside(session.connection, left - names)
        create_models(session.connection, metadata)
    except DBAPIError as error:
        said, statement = str(error.orig).strip(), shortened(error.statement or "")
        raise ModelsNotCreated(said=said, statement=statement) from error
    return _read(session.connection, names, default_schema)


def _read(connection: sa.Connection, tables: set[QualifiedName], default_schema: str) -> SchemaForm:
    with names_from(connection, default_schema):
        return schema_of(connection, tables)


@dataclass(kw_only=True)
class ModelComparison:
    """The comparison of one database; `lines` are the revision's, once it is complete."""

    models: Models
    foreign: frozenset[QualifiedName]  # tables that were there before the first revision
    renamed: list[Change] = field(default_factory=list)
    renames: list[Rename] = field(default_factory=list)
    lines: tuple[str, ...] = ()
    left_alone: set[QualifiedName] = field(default_factory=set)

    def rename(self, url: str, asked: tuple[str, ...], ask: Ask) -> set[str]:
        """Rename on the scratch database what is asked for and what `ask` agrees to; give possible renames."""
        default_schema = self.models.default_schema
        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool
        )
        with engine.begin() as connection, names_from(connection, default_schema):
            names = self._names(connection)
            found = schema_of(connection, names)
            possible = candidates(found, self.models.wanted, default_schema=default_schema)
            for rename in possible:
                if set(asked) & set(rename.spellings()) or ask(rename):
                    self._rename(rename.change(), connection)
                    self.renames.append(rename)
            if self.renamed:
                now = schema_of(connection, names | set(self.models.wanted.tables))
                for change in follow_up(now, self.models.wanted, default_schema=default_schema):
                    self._rename(change, connection)
        return set(asked) & {text for rename in possible for text in rename.spellings()}

    def _rename(self, change: Change, connection: sa.Connection) -> None:
        context = MigrationContext.configure(connection)
        _execute("\n".join(change.up), {"op": Operations(context), "sa": sa})
        self.renamed.append(change)

    def _names(self, connection: sa.Connection) -> set[QualifiedName]:
        schemas = {name.schema for name in self.models.wanted.tables}
        return {
            name
            for name in table_names(connection)
            if name.schema in schemas and name not in self.foreign
            if not is_of_another_tool(name.name)
        }

    def complete(self, context: MigrationContext, script: MigrationScript) -> None:
        """Add what Alembic's comparison of this database has missed on the way to the models."""
        assert context.connection is not None  # noqa: S101  # autogenerate is never offline
        write_types_of_their_own(context.opts)
        write_percent_signs_once(context)
        upgrade, downgrade = script.upgrade_ops_list[-1], script.downgrade_ops_list[-1]
        with closing(MigrationSession(context.connection)) as session, session.transactional():
            self._complete(_Tried(context=context, session=session), upgrade, downgrade)

    def take_lines(self, context: MigrationContext, scripts: Iterable[MigrationScript]) -> None:
        """Take the lines as they will be written, once the project's hooks have seen the scripts, too."""
        autogen = AutogenContext(context)
        self.lines = tuple(
            line
            for script in scripts
            for op in script.upgrade_ops_list[-1].ops
            for line in _source(op, autogen).splitlines()
        )

    def _complete(
        self, tried: "_Tried", upgrade: ops.UpgradeOps, downgrade: ops.DowngradeOps
    ) -> None:
        dropped = self._dropped(upgrade.ops)
        found = self._found(tried.session, dropped)
        operations = self._changing(upgrade.ops, found)
        first = [*self._schemas(tried.session), *self._types_and_sequences(found)]
        for change in first:
            tried.make(change)
        tried.session.commit()
        operations = without_what_is_gone(
            operations, found, self._found(tried.session, dropped), default_schema=self._default
        )
        parts = [part for operation in operations for part in tried.parts(operation)]
        kept = [part for part, works in parts if works]
        tried.session.commit()
        then = self._what_is_left(tried, to=self.models.wanted)
        later = [part for part, works in parts if not works and not _changes_a_column(part)]
        for part in later:  # it may need a key that was not there before
            tried.do(part)
        last = self._what_is_left(tried, to=self.models.wanted)
        before = [*self.renamed, *first]
        upgrade.ops = [*_ups(before), *kept, *_ups(then), *later, *_ups(last)]
        tried.session.commit()
        back = [
            *_downs(last),
            *_back(later, found),
            *_downs(then),
            *_back(kept, found),
            *_downs(first),
        ]
        downgrade.ops = [*self._completed(back, tried, to=found), *_downs(self.renamed)]

    def _completed(
        self, back: list[MigrateOperation], tried: "_Tried", *, to: SchemaForm
    ) -> list[MigrateOperation]:
        """Add the way back, after trying it, with what it would not restore: what went with a table, say.

        One that fails stays as Alembic writes it, and is the author's: `check` says where it fails.
        """
        if not tried.all_works(back):
            return back
        tried.session.commit()
        return [*back, *_ups(self._what_is_left(tried, to=to))]

    def _changing(
        self, operations: Sequence[MigrateOperation], found: SchemaForm
    ) -> list[MigrateOperation]:
        """Give the operations of Alembic that change something of ours, with names for what they make."""
        wanted, default_schema = self.models.wanted, self._default
        ours = list(self._of_ours(operations))
        name_constraints(ours, wanted, default_schema=default_schema)
        return without_phantoms(ours, found, wanted, default_schema=default_schema)

    def _dropped(self, operations: Sequence[MigrateOperation]) -> set[QualifiedName]:
        return {
            QualifiedName(schema=operation.schema or self._default, name=operation.table_name)
            for operation in operations
            if isinstance(operation, ops.DropTableOp)
        }

    @property
    def _default(self) -> str:
        return self.models.default_schema

    def _of_ours(self, operations: Sequence[MigrateOperation]) -> Iterator[MigrateOperation]:
        """Leave out holdfast's own schema and tables that another tool has made."""
        for operation in operations:
            schema = getattr(operation, "schema", None)
            table = getattr(operation, "table_name", None)
            name = QualifiedName(schema=schema or self.models.default_schema, name=str(table))
            is_foreign = name in self.foreign or is_of_another_tool(name.name)
            if schema == SCHEMA:
                continue
            if is_foreign and name not in self.models.wanted.tables:
                self.left_alone.add(name)
                continue
            yield operation

    def _found(self, session: MigrationSession, others: Iterable[QualifiedName] = ()) -> SchemaForm:
        """Read the tables of the models, and others, from the scratch database as it is now."""
        return self._read(session, {*self.models.wanted.tables, *others}, self.models.wanted)

    def _read(
        self, session: MigrationSession, tables: Iterable[QualifiedName], wanted: SchemaForm
    ) -> SchemaForm:
        with names_from(session.connection, self._default):
            found = in_one_spelling(
                session.connection, schema_of(session.connection, tables), wanted
            )
        session.commit()
        return found

    def _schemas(self, session: MigrationSession) -> list[Change]:
        known = set(session.connection.scalars(sa.text("SELECT nspname FROM pg_namespace")))
        session.commit()
        wanted = self.models.wanted
        needed = {*wanted.tables, *wanted.enums, *wanted.domains, *wanted.sequences}
        return [
            Change(
                up=(f"op.execute({f'CREATE SCHEMA {quote(name)}'!r})",),
                down=(f"op.execute({f'DROP SCHEMA {quote(name)}'!r})",),
            )
            for name in sorted({name.schema for name in needed} - known)
        ]

    def _types_and_sequences(self, found: SchemaForm) -> list[Change]:
        wanted, default_schema = self.models.wanted, self._default
        missing = {*wanted.enums, *wanted.domains} - {*found.enums, *found.domains}
        return [
            *new_sequences(found, wanted, default_schema=default_schema),
            *new_types(wanted, missing, default_schema=default_schema),
            *enum_changes(found, wanted, default_schema=default_schema),
        ]

    def _what_is_left(self, tried: "_Tried", *, to: SchemaForm) -> list[Change]:
        """Make the remaining differences of the tables; an operation may add some, or remove them."""
        made: list[Change] = []
        for _ in range(ROUNDS):
            now = self._read(tried.session, to.tables, to)
            changes = table_changes(now, to, default_schema=self._default)
            left = [change for change in changes if change not in made]
            if not left:
                break
            for change in left:
                tried.make(change)
            tried.session.commit()
            made += left
        return made


@dataclass(kw_only=True)
class _Tried:
    """Executes lines of the revision as they are written, in the session of env.py."""

    context: MigrationContext
    session: MigrationSession

    def make(self, change: Change) -> None:
        """Execute lines of a revision on the scratch database, where they must work."""
        self._execute("\n".join(change.up), ())

    def parts(self, operation: MigrateOperation) -> Iterator[tuple[MigrateOperation, bool]]:
        """Execute an operation of Alembic's, or each part by itself; give each, and whether it works."""
        works = self._works(operation)
        if works or not isinstance(operation, ops.ModifyTableOps) or len(operation.ops) == 1:
            yield operation, works
            return
        for part in operation.ops:
            table, schema = operation.table_name, operation.schema
            yield from self.parts(ops.ModifyTableOps(table, [part], schema=schema))

    def _works(self, operation: MigrateOperation) -> bool:
        """Whether a change works in both directions: Alembic knows of no USING."""
        connection = self.session.connection
        connection.exec_driver_sql(TRY)
        try:
            self.do(operation)
            if _changes_a_column(operation):
                connection.exec_driver_sql(TRY_BACK)
                self.do(operation.reverse())
                connection.exec_driver_sql(UNDO_BACK)
        except DBAPIError:
            connection.exec_driver_sql(UNDO)
            return False
        return True

    def all_works(self, operations: Sequence[MigrateOperation]) -> bool:
        """Execute all of them, or none."""
        connection = self.session.connection
        connection.exec_driver_sql(TRY)
        try:
            for operation in operations:
                self.do(operation)
        except Exception:  # noqa: BLE001  # of a type that SQLAlchemy does not know, it raises anything
            connection.exec_driver_sql(UNDO)
            return False
        return True

    def do(self, operation: MigrateOperation) -> None:
        """Execute an operation as it will be written."""
        autogen = AutogenContext(self.context)
        source = _source(operation, autogen)
        self._execute(source, autogen.imports)

    def _execute(self, source: str, imports: Sequence[str] | set[str]) -> None:
        names: dict[str, object] = {"op": Operations(self.context), "sa": sa}
        for line in (*self._imports_of_template(), *imports):
            exec(line, names)  # noqa: S102  # as the revision's own head
        _execute(source, names | {"op": Operations(self.context), "sa": sa})

    def _imports_of_template(self) -> Iterator[str]:
        config = self.context.config
        if config is None:
            return
        template = Path(ScriptDirectory.from_config(config).dir) / "script.py.mako"
        if template.is_file():
            yield from IMPORT.findall(template.read_text(encoding="utf-8"))


def _source(operation: MigrateOperation, autogen: AutogenContext) -> str:
    """Give the source as Alembic writes it into a file: the parts of a batch are indented there."""
    written = StringIO()
    printer = PythonPrinter(written)
    for line in render_op(autogen, operation):
        printer.writeline(line)
    printer.close()
    return written.getvalue().rstrip()


def _changes_a_column(operation: MigrateOperation) -> bool:
    parts = operation.ops if isinstance(operation, ops.ModifyTableOps) else [operation]
    return any(isinstance(part, ops.AlterColumnOp) for part in parts)


def _execute(source: str, names: dict[str, object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # what Alembic says of its own lines, it says again when they run
        exec(source, names)  # noqa: S102  # source that we wrote a moment ago


def _back(operations: Sequence[MigrateOperation], found: SchemaForm) -> list[MigrateOperation]:
    reverse = [operation.reverse() for operation in reversed(operations)]
    standing = frozenset(text for name in found.sequences for text in (str(name), quote(name.name)))
    for column in _new_columns(reverse):
        default = column.server_default
        if not isinstance(default, sa.DefaultClause):
            continue
        if own_sequence(str(default.arg), standing):
            column.server_default = None  # the sequence went with the column
        else:
            column.autoincrement = False  # SQLAlchemy would give it a sequence of its own
    return reverse


def _new_columns(operations: Sequence[MigrateOperation]) -> Iterator[sa.Column[Any]]:
    for operation in operations:
        match operation:
            case ops.CreateTableOp():
                yield from (each for each in operation.columns if isinstance(each, sa.Column))
            case ops.AddColumnOp():
                yield operation.column
            case ops.ModifyTableOps():
                yield from _new_columns(operation.ops)


def _ups(changes: list[Change]) -> list[MigrateOperation]:
    return [WrittenOp(line) for change in changes for line in change.up]


def _downs(changes: list[Change]) -> list[MigrateOperation]:
    return [WrittenOp(line) for change in reversed(changes) for line in change.down]
