"""Finds what `run` refuses before it begins; `run` and `status` both ask here, so they say the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import text

from holdfast.engine.connection.direct_url import direct_url
from holdfast.errors import HoldfastError
from holdfast.errors.leadership import BehindPooler, CannotLease, RoleHasLimits
from holdfast.errors.migration import LostVersionTable, ReadOnlyServer, UnknownDatabase
from holdfast.errors.project import TwoHeads
from holdfast.errors.unfinished import EditedWhileUnfinished, FunctionWasInterrupted
from holdfast.execute import history
from holdfast.execute.history import HistoryEntry
from holdfast.execute.session import MigrationSession
from holdfast.migrate.history_files import surplus_heads, takes_any_database
from holdfast.migrate.version_table import schema_of
from holdfast.observe.database import (
    count_unexplained_relations,
    database_name,
    is_read_only,
)

if TYPE_CHECKING:
    from holdfast.execute.journal import Journal, Unfinished

# The timeouts that would end a step outside a transaction, if nothing can be SET for it.
LIMITED = ("statement_timeout", "lock_timeout", "transaction_timeout")
# One row: the role, and whether it has each of these limits.
LIMITS = text(
    """
    SELECT quote_ident(current_user) AS role, current_setting('statement_timeout') <> '0' AS statement_timeout,
           current_setting('lock_timeout') <> '0' AS lock_timeout,
           coalesce(current_setting('transaction_timeout', true), '0') <> '0' AS transaction_timeout
    """
)


def refusal_of_history(script: ScriptDirectory, config: Config | None) -> HoldfastError | None:
    """Give the refusal of a history with several heads, unless the project wants these branches."""
    heads = surplus_heads(script, config)
    return TwoHeads(heads=heads) if heads else None


def refusal_of_connection(session: MigrationSession) -> HoldfastError | None:
    """Give the refusal of a connection over which nothing can be migrated."""
    if refusal := refusal_of_pooler(session):
        return refusal
    if is_read_only(session.connection):
        return ReadOnlyServer(database=database_name(session.connection))
    return None


def refusal_of_pooler(session: MigrationSession) -> HoldfastError | None:
    """Give the refusal of a pooler that is not declared as the only way, or that is not safe."""
    if not session.notice_pooler():
        return None
    from holdfast.engine.settings import PoolerSettings  # loads all settings

    if not PoolerSettings().is_only_way:
        return behind_pooler(session)
    if session.dialect.driver == "asyncpg":
        return CannotLease(reason="asyncpg prepares each statement")
    if session.has_event_triggers():
        return CannotLease(reason="event triggers run beside each DDL statement")
    row = session.execute(LIMITS).mappings().one()
    found = [name for name in LIMITED if row[name]]
    if not found:
        return None
    resets = "; ".join(f"ALTER ROLE {row['role']} SET {name} = 0" for name in found)
    return RoleHasLimits(role=row["role"], limits=", ".join(found), resets=resets)


def behind_pooler(session: MigrationSession) -> BehindPooler:
    """Give the refusal of a pooler, with the server's own address if the pooler's shows it."""
    direct = direct_url(session.migration.engine.url)
    return BehindPooler() if direct is None else BehindPooler(direct=direct)


def refusal_of_database_without_revision(
    session: MigrationSession,
    context: MigrationContext,
    script: ScriptDirectory,
    entries: Mapping[str, HistoryEntry],
) -> HoldfastError | None:
    """Give the refusal of a database with tables and no revision: not ours, or its version table is lost."""
    if takes_any_database(script):
        return None
    relations = count_unexplained_relations(
        session.connection,
        schema=schema_of(session, context),
        version_table=context.version_table,
    )
    if not relations:
        return None
    database = database_name(session.connection)
    if not entries:
        return UnknownDatabase(database=database, relations=relations)
    recorded = recorded_heads(script, entries)
    if context._has_version_table() or not recorded:  # noqa: SLF001  # Alembic has no public way to ask
        return None
    return LostVersionTable(database=database, table=context.version_table, recorded=recorded)


def recorded_heads(script: ScriptDirectory, entries: Mapping[str, HistoryEntry]) -> tuple[str, ...]:
    """Give the revision of the database by holdfast's own history: last applied and never taken back."""
    applied = {
        revision
        for entry in entries.values()
        if (entry.direction, entry.outcome) == ("up", "done")
        for revision in entry.revision.split(", ")  # a baseline at several heads is one entry
        if revision != "base"
    }
    below: set[str] = set()
    for revision in script.walk_revisions():
        if revision.revision in applied:
            below |= set(revision._all_down_revisions)  # noqa: SLF001  # depends_on included
        elif revision.revision in below:
            below |= set(revision._all_down_revisions)  # noqa: SLF001
    return tuple(sorted(applied - below))


def refusal_of_rest(
    journal: "Journal", found: "Unfinished", revision: Script
) -> HoldfastError | None:
    """Say why a half-way revision cannot be continued."""
    if not found.function_ended and found.unrepeatable is not None:
        return FunctionWasInterrupted(revision=found.revision, reason=found.unrepeatable)
    is_edited = found.checksum != history.checksum_of(Path(revision.path))
    if is_edited and not journal.can_be_taken_back():
        return EditedWhileUnfinished(revision=found.revision, file=revision.path)
    return None
