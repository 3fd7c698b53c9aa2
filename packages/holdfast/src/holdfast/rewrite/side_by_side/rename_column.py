"""RENAME COLUMN for two releases: the column has both names until `finish`, always with the same value.

Expand: a shadow with the new name, two triggers, the rows that are there, the indexes that look-ups need. Finish: the
shadow goes and the column is renamed, in one moment.
"""

from collections.abc import Iterator
from dataclasses import replace

import postgast
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.citus import TWO_NAMES
from holdfast.rewrite.column_copy.facts import ChangedTable, ColumnTrigger
from holdfast.rewrite.column_copy.filling import granted
from holdfast.rewrite.column_copy.refusals import needs_replica_role
from holdfast.rewrite.column_copy.renamed import index_of_copy
from holdfast.rewrite.facts import Facts, Relation, RelationKind
from holdfast.rewrite.index_build import build_index
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.names import quote
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.side_by_side.shadow import (
    CARRIES_MORE,
    DISTURBED,
    Shadow,
    first_function,
    last_function,
)
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import (
    AutocommitStep,
    BatchStep,
    CopyRowsStep,
    LookStep,
    Step,
    do_block,
)
from holdfast.rewrite.tree import add_strings, copy, sql
from holdfast.rewrite.waiting import Waiting


def renamed_column(
    statement: Statement, facts: Facts
) -> tuple[tuple[Step, ...], NeedsOneRelease | None] | None:
    """Give the steps of the first half, or why there are none; None for other statements and new columns."""
    node = statement.node
    if (
        not isinstance(node, pb.RenameStmt)
        or node.rename_type != pb.OBJECT_COLUMN
        or node.relation_type != pb.OBJECT_TABLE
    ):
        return None
    table = facts.in_use(node.relation)
    column = table.column(node.subname) if table is not None else None
    if table is None or column is None or column.is_new or table.column(node.newname):
        return None  # PostgreSQL says what it thinks of it
    if table.placement is not None:
        what = f"rename of column {node.subname}"
        return (), NeedsOneRelease(relation=str(table.name), what=what, reasons=(TWO_NAMES,))
    known = facts.side_by_side.table(table.name)
    if known is None:  # behind what waits in the queue: asked when its turn comes
        waiting = Waiting(
            what="column name",
            name=node.subname,
            new_name=node.newname,
            relation=table.name,
            sql=statement.sql,
        )
        return (BatchStep(what=f"{waiting} stays", sql=(), waits=(waiting,)),), None
    shadow = Shadow(facts=known, name=node.subname, new_name=node.newname)
    reasons = tuple(reasons_against(known, shadow))
    if reasons:
        what = f"rename of column {node.subname}"
        return (), NeedsOneRelease(relation=str(table.name), what=what, reasons=reasons)
    return tuple(_steps(shadow, statement)), None


def _steps(shadow: Shadow, statement: Statement) -> Iterator[Step]:
    yield from _look_before(shadow)
    yield _expand(shadow, statement)
    yield CopyRowsStep(
        table=shadow.table,
        sql=f"UPDATE ONLY {shadow.table} SET {quote(shadow.new_name)} = {quote(shadow.name)}"
        f" WHERE {shadow.differs}",
        settings=shadow.copying_settings,
        scans=(shadow.table,),
    )
    yield look_for_differences(shadow)
    yield from _indexes(shadow)
    yield AutocommitStep(
        sql=f"ANALYZE {shadow.table} ({quote(shadow.new_name)})",
        locks=(shadow.lock(LockMode.SHARE_UPDATE_EXCLUSIVE),),
    )


def reasons_against(table: ChangedTable, shadow: Shadow) -> Iterator[str]:
    """Say why the column cannot have two names; known before anything has run."""
    change, column = shadow.conversion, shadow.column
    if change.error:
        yield f"It could not be tried on an empty copy of the table: {change.error}."
    if not table.is_table:
        yield (
            "The table has partitions: whoever attaches one before `holdfast finish` would have to fill both names,"
            " as a table with one is not attached, and rows of one that was made LIKE it have passed no trigger. Add a"
            " column of the new name, have the application write both, fill it with an UPDATE of each partition, and"
            " drop the old one a release later."
        )
    elif table.inherits:
        yield "The table is a partition or inherits, and a column has two names in a table as a whole only."
    if table.is_typed:
        yield "The table was created OF a type."
    if column.is_generated:
        yield f"{column.name} is a generated column, which no trigger can fill."
    if change.default is not None and not column.not_null and not column.identity:
        yield (
            f"{column.name} has a default and may be NULL: nobody could tell a release that leaves it out"
            " from one that writes NULL. Drop the default, or add NOT NULL, in a revision before."
        )
    if change.is_constrained_domain:
        yield f"{change.new_type} is a domain with a constraint: a column of it cannot be added in a moment."
    if table.published_by:
        yield (
            f"The publication {table.published_by} sends all columns of the table: its subscribers"
            " would stop at one that they do not have. Publish it with a list of columns."
        )
    if table.hides_rows:
        yield (
            "Row level security hides rows from the role that migrates, so that not all would be"
            " copied: give it BYPASSRLS, or migrate as the owner without FORCE."
        )
    yield from _of_triggers(table)


def _of_triggers(table: ChangedTable) -> Iterator[str]:
    for trigger in table.triggers:
        fires = trigger.fires_on_update and not trigger.is_ours
        if fires and (
            trigger.enabled == "A" or (trigger.enabled == "R" and needs_replica_role(table))
        ):
            yield f"The trigger {trigger.name} would fire for every row that is copied."
    if needs_replica_role(table) and not table.may_set_replica_role:
        yield (
            "Its triggers on UPDATE would fire for every row that is copied. An administrator can"
            " allow to keep them quiet: GRANT SET ON PARAMETER session_replication_role TO .."
        )
    for found in table.column_triggers:
        if found.is_constraint or found.enabled != "O":
            yield (
                f"The trigger {found.name} fires on UPDATE OF the column, and cannot be replaced by one"
                " that also fires on the new name."
            )


def _look_before(shadow: Shadow) -> Iterator[Step]:
    """Look for rows that no UPDATE could write: against a constraint that is NOT VALID."""
    key = ", ".join(map(quote, shadow.facts.key)) or "ctid"
    for found in shadow.facts.not_valid:
        rows = f"SELECT {key} FROM ONLY {shadow.table} WHERE NOT ({found.condition})"
        against = f"against {found.name}, which is NOT VALID"
        yield LookStep(
            table=shadow.table,
            what=f"rows {against}",
            one=f"row {against}",
            quick=f"{rows} LIMIT 1",
            rows=rows,
            scans=(shadow.table,),
        )


def look_for_differences(shadow: Shadow) -> LookStep:
    """Look for rows whose values differ under the two names."""
    key = ", ".join(map(quote, shadow.facts.key)) or "ctid"
    rows = f"SELECT {key} FROM ONLY {shadow.table} WHERE {shadow.differs}"
    differing = f"in which {shadow.name} and {shadow.new_name} differ"
    return LookStep(
        table=shadow.table,
        what=f"rows {differing}",
        one=f"row {differing}",
        quick=f"{rows} LIMIT 1",
        rows=rows,
        settings=(("row_security", "off"),),
        scans=(shadow.table,),
    )


def _expand(shadow: Shadow, statement: Statement) -> BatchStep:
    first, last = shadow.triggers
    new, change = quote(shadow.new_name), shadow.conversion
    collation = f" COLLATE {change.collation}" if change.collation else ""
    fires = (
        f"BEFORE INSERT OR UPDATE ON {shadow.table} FOR EACH ROW WHEN ({shadow.differ('new.')})"
        " EXECUTE FUNCTION"
    )
    stamp = f"COMMENT ON FUNCTION {shadow.functions[0]} IS %L"
    waiting = _waiting(shadow, statement)
    return BatchStep(
        what=f"add {shadow.new_name} to {shadow.table}, kept equal to {shadow.name} by triggers",
        sql=(
            shadow.alter(f"ADD COLUMN {new} {change.new_type}{collation}"),
            f"CREATE SEQUENCE IF NOT EXISTS {shadow.counter}",
            first_function(shadow),
            last_function(shadow),
            f"CREATE TRIGGER {quote(first)} {fires} {shadow.functions[0]}",
            f"CREATE TRIGGER {quote(last)} {fires} {shadow.functions[1]}",
            shadow.alter(
                f"ENABLE ALWAYS TRIGGER {quote(first)}, ENABLE ALWAYS TRIGGER {quote(last)}"
            ),
            *(_on_both(found, also=shadow.new_name) for found in shadow.facts.column_triggers),
            *(
                granted(grant, on=str(shadow.table), column=f" ({new})")
                for grant in shadow.column.grants
            ),
            # Whoever touches the triggers changes their xmin: `finish` looks.
            f"EXECUTE format({literal(stamp)}, pg_current_xact_id()::xid)",
        ),
        locks=(shadow.lock(),),
        undo=(do_block(_lock(shadow, waiting.back)),),
        waits=(waiting,),
    )


def _lock(shadow: Shadow, statements: tuple[str, ...]) -> tuple[str, ...]:
    return (f"LOCK TABLE ONLY {shadow.table} IN ACCESS EXCLUSIVE MODE", *statements)


def _on_both(trigger: ColumnTrigger, *, also: str) -> str:
    """Make an application's trigger on UPDATE OF the column fire for the new name, too."""
    (parsed,) = postgast.parse(trigger.definition).stmts
    node = copy(parsed.stmt.create_trig_stmt)
    node.replace = True
    add_strings(node.columns, (also,))
    return sql(node)


def _waiting(shadow: Shadow, statement: Statement) -> Waiting:
    away = tuple(_shadow_goes(shadow))
    old, new = quote(shadow.name), quote(shadow.new_name)
    return Waiting(
        what="column name",
        name=shadow.name,
        new_name=shadow.new_name,
        relation=shadow.table,
        sql=statement.sql,
        finish=(*away, shadow.alter(f"RENAME COLUMN {old} TO {new}")),
        back=away,
        counter=shadow.counter,
        notes=tuple(_notes(shadow)),
    )


def _shadow_goes(shadow: Shadow) -> Iterator[str]:
    first, last = shadow.triggers
    new = quote(shadow.new_name)
    yield _guard(shadow)
    yield f"DROP TRIGGER {quote(first)} ON {shadow.table}"
    yield f"DROP TRIGGER {quote(last)} ON {shadow.table}"
    for found in shadow.facts.column_triggers:
        (parsed,) = postgast.parse(found.definition).stmts
        node = copy(parsed.stmt.create_trig_stmt)
        node.replace = True
        yield sql(node)
    yield _carries_nothing_more(shadow)
    yield shadow.alter(f"DROP COLUMN {new}")
    for function in shadow.functions:
        yield f"DROP FUNCTION {function}"
    yield f"DROP SEQUENCE IF EXISTS {shadow.counter}"


def _guard(shadow: Shadow) -> str:
    """Write SQL that fails unless both triggers are unchanged, so that no write has bypassed them."""
    names = ", ".join(map(literal, shadow.triggers))
    stamp = f"obj_description({literal(shadow.functions[0])}::regprocedure, 'pg_proc')"
    ours = (
        f"(SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = {literal(str(shadow.table))}::regclass"
        f" AND tgname IN ({names}) AND tgenabled = 'A' AND xmin::text = {stamp})"
    )
    return (
        f"IF {ours} <> 2 THEN RAISE EXCEPTION 'the triggers that keep both names equal have been"
        f" changed' USING ERRCODE = '{DISTURBED}'; END IF"
    )


def _carries_nothing_more(shadow: Shadow) -> str:
    """Write SQL that fails if others have added something to the second column, which will be dropped."""
    indexes = ", ".join(literal(name) for _, name in shadow.indexes) or "NULL"
    table = f"{literal(str(shadow.table))}::regclass"
    column = (
        f"(SELECT attnum FROM pg_catalog.pg_attribute WHERE attrelid = {table}"
        f" AND attname = {literal(shadow.new_name)} AND NOT attisdropped)"
    )
    found = (
        "SELECT string_agg(DISTINCT pg_describe_object(classid, objid, objsubid), ', ') AS more FROM"
        f" pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = {table}"
        f" AND refobjsubid = {column} AND NOT (classid = 'pg_catalog.pg_class'::regclass AND objid IN"
        f" (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid"
        f" WHERE x.indrelid = {table} AND c.relname IN ({indexes})))"
    )
    granted_on = (
        "SELECT g.grantee, g.privilege_type FROM pg_catalog.pg_attribute k, aclexplode(k.attacl) g"
        f" WHERE k.attrelid = {table} AND k.attname = {{}} AND NOT k.attisdropped"
    )
    changed = (
        f"SELECT 'its type, NOT NULL, its comment, or a privilege' WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute"
        f" WHERE attrelid = {table} AND attnum = {column} AND (attnotnull OR col_description(attrelid,"
        f" attnum) IS NOT NULL OR format_type(atttypid, atttypmod) IS DISTINCT FROM"
        f" (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a WHERE"
        f" a.attrelid = {table} AND a.attname = {literal(shadow.name)} AND NOT a.attisdropped)))"
        f" OR EXISTS ({granted_on.format(literal(shadow.new_name))}"
        f" EXCEPT {granted_on.format(literal(shadow.name))})"
    )
    return (
        f"DECLARE more text := concat_ws(', ', ({found}), ({changed})); BEGIN IF more <> '' THEN RAISE"
        f" EXCEPTION USING ERRCODE = '{CARRIES_MORE}', MESSAGE = more; END IF; END"
    )


def _indexes(shadow: Shadow) -> Iterator[Step]:
    """Build the indexes CONCURRENTLY, unique ones last: until `finish` an upsert finds two matching indexes."""
    named = dict(shadow.indexes)
    table = Relation(oid=shadow.facts.oid, name=shadow.table, kind=RelationKind.TABLE)
    found = [index for index in shadow.facts.indexes if index.name in named]
    for index in sorted(found, key=lambda each: each.is_unique):
        copies = {shadow.name: shadow.new_name}
        node = index_of_copy(index, name=named[index.name], copies=copies)
        # Deferrable: checked at the end of a statement, which no index of its own does.
        node.unique = node.unique and not index.is_deferrable
        yield replace(build_index(node, table=table), undo=())  # it goes with the shadow


def _notes(shadow: Shadow) -> Iterator[str]:
    a, b = shadow.name, shadow.new_name
    if shadow.conversion.default is not None or shadow.column.identity:
        yield f"SET {b} = DEFAULT fails until then, and an explicit NULL in {b} becomes the default of {a}"
    if any(index.is_unique for index in shadow.facts.indexes):
        yield (
            f"until then {a} and {b} have a unique index each: two upserts of the same new key at the same"
            " moment can fail with 23505"
        )
    for index in shadow.facts.indexes:
        if index.is_exclusion:
            yield f"look-ups by {b} have no index in the place of {index.name} until then"
