"""The first half of a column copy: check the rows, add the copy and its triggers, fill it, make it NOT NULL.

Until the rows are copied a value that the new type refuses leaves the copy empty and disturbs nobody (lenient); from
then on it is refused, as it will be after the change (strict).
"""

from collections.abc import Iterable, Iterator

from holdfast.rewrite.column_copy.copied import Copied, new_value, new_value_of_table
from holdfast.rewrite.column_copy.detached import taken_from_detached
from holdfast.rewrite.column_copy.facts import ChangingColumn, Conversion, DependentCheck, Grant
from holdfast.rewrite.column_copy.notes import notes_of_copying, notes_of_new_copies
from holdfast.rewrite.column_copy.partitions import partitions_guard
from holdfast.rewrite.column_copy.refusals import columns_read
from holdfast.rewrite.column_copy.renamed import check_of_copy
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.names import quote
from holdfast.rewrite.not_null import NATIVE
from holdfast.rewrite.rewriting import add_constraint, alter_table
from holdfast.rewrite.steps import (
    BatchStep,
    CopyRowsStep,
    LookStep,
    Step,
    ValidateStep,
    do_block,
)
from holdfast.rewrite.tree import sql

COMPRESSIONS = {"p": "pglz", "l": "lz4"}


def look_before(copied: Copied) -> Iterator[Step]:
    """Look, before anything has happened, for rows that would stop the change."""
    for each in copied.with_rows:
        yield from look_for_unproven(each)
    for change in copied.facts.changes:
        yield _look(copied, change, quick=_convert_all(copied, change), mismatch=None)


def look_for_unproven(copied: Copied) -> Iterator[LookStep]:
    """Look for rows against a NOT VALID constraint: the UPDATE that copies them would fail."""
    table, key = copied.table, _key(copied)
    for found in copied.facts.not_valid:
        rows = f"SELECT {key} FROM ONLY {table} WHERE NOT ({found.condition})"
        against = f"against {found.name}, which is NOT VALID"
        yield LookStep(
            table=table,
            what=f"rows {against}",
            one=f"row {against}",
            quick=f"{rows} LIMIT 1",
            rows=rows,
            scans=(table,),
            only_for=copied.only_for,
        )


def expand(copied: Copied) -> BatchStep:
    """Add the copies, kept equal by two triggers from here on."""
    table, (on_insert, on_update) = copied.table, copied.triggers
    changed = " OR ".join(_changed(copied, change) for change in copied.facts.changes)
    function = copied.function
    create = f"CREATE TRIGGER {{}} BEFORE {{}} ON {table} FOR EACH ROW {{}}"
    stamp = f"COMMENT ON FUNCTION {function} IS %L"
    return BatchStep(
        what=f"add {_listed(copied)} to {table}, kept equal by triggers",
        sql=(
            *partitions_guard(copied),
            *(_add_column(copied, change) for change in copied.facts.changes),
            _trigger_function(copied, is_lenient=True),
            create.format(quote(on_insert), "INSERT", f"EXECUTE FUNCTION {function}"),
            # An UPDATE of another column must not convert a large value again.
            create.format(
                quote(on_update), "UPDATE", f"WHEN ({changed}) EXECUTE FUNCTION {function}"
            ),
            copied.alter(
                f"ENABLE ALWAYS TRIGGER {quote(on_insert)}, ENABLE ALWAYS TRIGGER {quote(on_update)}"
            ),
            *(text for each in copied.with_partitions for text in attributes(each)),
            # Whoever touches the triggers changes their xmin: the swap looks.
            f"EXECUTE format({literal(stamp)}, pg_current_xact_id()::xid)",
        ),
        locks=copied.locks(LockMode.ACCESS_EXCLUSIVE),
        undo=(_give_back(copied),),
        notes=notes_of_new_copies(copied.facts, copies=copied.copies.values()),
    )


def attributes_of_partition(copied: Copied) -> Iterator[BatchStep]:
    """Set on the copies what a new partition itself has declared of the columns."""
    sql = tuple(attributes(copied))
    if sql:
        yield BatchStep(
            what=f"attributes of {_listed(copied)} of {copied.table}",
            sql=sql,
            locks=(copied.lock(LockMode.ACCESS_EXCLUSIVE),),
            only_for=copied.only_for,
        )


def copy_rows(copied: Copied) -> CopyRowsStep:
    """Fill the copies of existing rows.

    The UPDATE writes the values itself, at half of the trigger's cost, if that gives the same; if a value fails, the
    trigger fills what an UPDATE touches.
    """
    changes = copied.facts.changes
    names = [quote(copied.copies[change.column]) for change in changes]
    conditions = [_is_missing(copied, change) for change in changes]
    condition = conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"

    def update(values: Iterable[str]) -> str:
        assigned = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
        return f"UPDATE ONLY {copied.table} SET {assigned} WHERE {condition}"

    by_trigger = update("NULL" for _ in changes)
    is_direct = all(_is_the_same_anywhere(change) for change in changes)
    return CopyRowsStep(
        table=copied.table,
        sql=update(map(new_value_of_table, changes)) if is_direct else by_trigger,
        where_it_fails=by_trigger if is_direct else "",
        settings=copied.copying_settings,
        scans=(copied.table,),
        only_for=copied.only_for,
        notes=notes_of_copying(copied.facts),
        new_types=tuple((each.column, each.new_type) for each in copied.facts.changes),
    )


def strict(copied: Copied) -> Iterator[Step]:
    """Add the constraints for new rows: from here on users get PostgreSQL's own errors."""
    adds = [text for each in copied.with_partitions for text in _constraints(each)]
    # The strongest lock at once: upgrading from SHARE ROW EXCLUSIVE to ACCESS EXCLUSIVE could deadlock.
    mode = LockMode.ACCESS_EXCLUSIVE if adds else LockMode.SHARE_ROW_EXCLUSIVE
    yield BatchStep(
        what=f"refuse values that {_listed(copied)} cannot take",
        sql=(
            *partitions_guard(copied),
            _trigger_function(copied, is_lenient=False),
            *adds,
        ),
        locks=copied.locks(mode),
    )
    for each in copied.with_partitions:
        yield from _validated(each)
    yield from _not_null(copied)


def strict_of_partition(copied: Copied) -> Iterator[Step]:
    """Add the constraints that only a new partition has."""
    adds = tuple(_constraints(copied))
    if adds:
        yield BatchStep(
            what=f"constraints of {copied.table} on {_listed(copied)}",
            sql=adds,
            locks=(copied.lock(LockMode.ACCESS_EXCLUSIVE),),
            only_for=copied.only_for,
        )
        yield from _validated(copied)
        yield from _not_null(copied)


def _constraints(copied: Copied) -> Iterator[str]:
    """Write the SQL that adds the constraints of this table's copies, for new rows only."""
    yield from (_add_not_null(copied, column) for column in copied.own_not_nulls)
    yield from (_add_check(copied, check) for check in copied.own_checks)


def _validated(copied: Copied) -> Iterator[ValidateStep]:
    unproven = {found.name for found in copied.facts.not_valid}
    for column in copied.own_not_nulls:
        if column.not_null_name not in unproven:
            yield _validate(copied, copied.not_nulls[column.name])
    for check in copied.own_checks:
        if check.is_validated:
            yield _validate(copied, copied.checks[check.name])


def _not_null(copied: Copied) -> Iterator[BatchStep]:
    """Set NOT NULL. Before 18 a CHECK has proved it; from 18 on it is a constraint with a name."""
    if copied.facts.server_major >= NATIVE:
        return
    sql = tuple(
        each.alter(action)
        for each in copied.with_partitions
        for column in each.own_not_nulls
        for action in (
            f"ALTER COLUMN {quote(each.copies[column.name])} SET NOT NULL",
            f"DROP CONSTRAINT {quote(each.not_nulls[column.name])}",
        )
    )
    names = dict.fromkeys(
        quote(each.copies[column.name])
        for each in copied.with_partitions
        for column in each.own_not_nulls
    )
    if sql:
        yield BatchStep(
            what=f"set NOT NULL of {', '.join(names)} in {copied.table}",
            sql=sql,
            locks=copied.locks(LockMode.ACCESS_EXCLUSIVE),
            only_for=copied.only_for,
        )


def prove(copied: Copied) -> Iterator[Step]:
    """Compare every row of the copy with the row that it was made from."""
    for change in copied.facts.changes:
        value = f"(({new_value_of_table(change)})::{change.new_type})"
        copy = quote(copied.copies[change.column])
        # IS DISTINCT FROM does not exist for json, xml and point.
        mismatch = f"NOT pg_catalog.record_image_eq(ROW({copy}), ROW({value}))"
        quick = f"SELECT 1 FROM ONLY {copied.table} WHERE {mismatch} LIMIT 1"
        yield _look(copied, change, quick=quick, mismatch=mismatch)


def _look(copied: Copied, change: Conversion, *, quick: str, mismatch: str | None) -> LookStep:
    """Look for rows that cannot be converted; row by row, which is slower, only if the quick look has failed."""
    table = copied.table
    body = (
        f"DECLARE x {change.new_type}; BEGIN x := {new_value(change, row='r')}; RETURN NULL;"
        " EXCEPTION WHEN others THEN RETURN SQLERRM; END"
    )
    everything = f"{copied.only}{table}"
    function = f"pg_temp.holdfast_try(r {table}) RETURNS text LANGUAGE plpgsql"
    reason = "pg_temp.holdfast_try(t)"
    if mismatch is not None:
        reason = (
            f"CASE WHEN {reason} IS NOT NULL THEN {reason}"
            f" WHEN {mismatch} THEN 'it is not the value of the copy' END"
        )
    missing = f"no value of type {change.new_type} for {change.column}"
    return LookStep(
        table=table,
        what=f"rows that have {missing}",
        one=f"row that has {missing}",
        quick=quick,
        prepare=(f"CREATE FUNCTION {function} AS {literal(body)}",),
        rows=f"SELECT {_key(copied)}, {reason} AS reason FROM {everything} AS t"
        f" WHERE {reason} IS NOT NULL",
        settings=(*copied.conversion_settings, ("row_security", "off")),
        scans=tuple(each.table for each in copied.with_rows),
        only_for=copied.only_for,
    )


def _convert_all(copied: Copied, change: Conversion) -> str:
    """Convert by assignment, as the trigger does: an explicit cast would cut a text that is too long."""
    body = (
        f"#variable_conflict use_column\nDECLARE x {change.new_type}; r record; BEGIN FOR r IN SELECT"
        f" {new_value_of_table(change)} AS v FROM {copied.only}{copied.table} LOOP x := r.v; END LOOP; END"
    )
    return f"DO {literal(body)}"


def _key(copied: Copied) -> str:
    by_place = "tableoid::regclass, ctid" if copied.facts.is_partitioned else "ctid"
    return ", ".join(map(quote, copied.facts.key)) or by_place


def _listed(copied: Copied) -> str:
    return ", ".join(copied.copies.values())


def _add_column(copied: Copied, change: Conversion) -> str:
    collation = f" COLLATE {change.collation}" if change.collation else ""
    name = quote(copied.copies[change.column])
    return copied.alter(f"ADD COLUMN {name} {change.new_type}{collation}")


def _trigger_function(copied: Copied, *, is_lenient: bool) -> str:
    body = " ".join(
        _assignment(copied, change, is_lenient=is_lenient) for change in copied.facts.changes
    )
    return (
        f"CREATE OR REPLACE FUNCTION {copied.function} RETURNS trigger LANGUAGE plpgsql"
        f"{_function_settings(copied)} AS {literal(f'BEGIN {body} RETURN new; END')}"
    )


def _assignment(copied: Copied, change: Conversion, *, is_lenient: bool) -> str:
    copy = f"new.{quote(copied.copies[change.column])}"
    assignment = f"{copy} := {new_value(change, row='new')};"
    if not is_lenient:
        return assignment
    return f"BEGIN {assignment} EXCEPTION WHEN others THEN {copy} := NULL; END;"


def _function_settings(copied: Copied) -> str:
    """Fix the function's settings: a user's session has others, and perhaps no right to a function in USING."""
    settings = "".join(
        f" SET {quote(name)} = {literal(value)}" for name, value in copied.conversion_settings
    )
    used = [function for change in copied.facts.changes for function in change.functions]
    if any(not function.is_built_in for function in used):
        settings += " SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
    return settings


def _changed(copied: Copied, change: Conversion) -> str:
    copy = quote(copied.copies[change.column])
    columns = [quote(column) for column in columns_read(change)]
    return " OR ".join(
        [
            f"new.{copy} IS NULL",
            *(
                f"NOT pg_catalog.record_image_eq(row(old.{name}), row(new.{name}))"
                for name in columns
            ),
        ]
    )


def _is_the_same_anywhere(change: Conversion) -> bool:
    """Whether the value does not depend on the settings of the session that writes it."""
    return change.is_steady and all(function.is_built_in for function in change.functions)


def _is_missing(copied: Copied, change: Conversion) -> str:
    missing = f"{quote(copied.copies[change.column])} IS NULL"
    return missing if change.has_using else f"{missing} AND {quote(change.column)} IS NOT NULL"


def attributes(copied: Copied) -> Iterator[str]:
    """Write the SQL for what PostgreSQL keeps of a column whose type changes, on this table alone."""
    for column in copied.facts.columns:
        yield from _attributes(copied, column)


def _attributes(copied: Copied, column: ChangingColumn) -> Iterator[str]:
    change = copied.facts.conversion(column.name)
    name = quote(copied.copies[column.name])
    if column.statistics_target is not None:
        yield copied.alter_only(f"ALTER COLUMN {name} SET STATISTICS {column.statistics_target}")
    if column.options:
        yield copied.alter_only(f"ALTER COLUMN {name} SET ({', '.join(column.options)})")
    if change is not None and change.compression in COMPRESSIONS:
        method = COMPRESSIONS[change.compression]
        yield copied.alter_only(f"ALTER COLUMN {name} SET COMPRESSION {method}")
    if column.comment:
        yield f"COMMENT ON COLUMN {copied.table}.{name} IS {literal(column.comment)}"
    for grant in column.grants:
        yield granted(grant, on=f"{copied.table}", column=f" ({name})")


def granted(grant: Grant, *, on: str, column: str = "") -> str:
    """Write the GRANT for a privilege."""
    option = " WITH GRANT OPTION" if grant.is_grantable else ""
    return f"GRANT {grant.privilege}{column} ON {on} TO {grant.grantee}{option}"


def _give_back(copied: Copied) -> str:
    """Write the SQL that drops the copies, and with them everything built on them."""
    return do_block(
        (
            f"LOCK TABLE {copied.only}{copied.table} IN ACCESS EXCLUSIVE MODE",
            *(
                f"DROP TRIGGER IF EXISTS {quote(trigger)} ON {copied.table}"
                for trigger in copied.triggers
            ),
            f"DROP FUNCTION IF EXISTS {copied.function}",
            *(
                copied.alter(f"DROP COLUMN IF EXISTS {quote(name)}")
                for name in copied.copies.values()
            ),
            *taken_from_detached(copied),
        )
    )


def _add_not_null(copied: Copied, column: ChangingColumn) -> str:
    copy, name = quote(copied.copies[column.name]), copied.not_nulls[column.name]
    if copied.facts.server_major >= NATIVE:
        return copied.alter(f"ADD CONSTRAINT {quote(name)} NOT NULL {copy} NOT VALID")
    return copied.alter(f"ADD CONSTRAINT {quote(name)} CHECK ({copy} IS NOT NULL) NOT VALID")


def _add_check(copied: Copied, check: DependentCheck) -> str:
    constraint = check_of_copy(check, name=copied.checks[check.name], copies=copied.copies)
    return sql(alter_table(copied.table, add_constraint(constraint)))


def _validate(copied: Copied, name: str) -> ValidateStep:
    return ValidateStep(
        table=copied.table,
        constraint=name,
        locks=copied.locks(LockMode.SHARE_UPDATE_EXCLUSIVE),
        scans=tuple(each.table for each in copied.with_rows),
        only_for=copied.only_for,
    )
