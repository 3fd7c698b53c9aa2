"""Looks at all rows of a table for those in the way of a change, and names a few of them with their keys."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import sqlstate
from holdfast.execute.session import MigrationSession
from holdfast.observe.violations import SHOWN, Violations
from holdfast.rewrite.steps import LookStep

# Classes of SQLSTATEs about a value: data exceptions, violated constraints (of a domain), raised by a function.
ABOUT_VALUES = ("22", "23", "P0")
SET_LOCAL = text("SELECT set_config(:name, :setting, true)")


def find_rows_in_the_way(session: MigrationSession, step: LookStep) -> Violations | None:
    """Find the rows in the way; None where there are none. Leaves no transaction open."""
    _settings(session, step)
    try:
        found = session.execute_sql(step.quick)
        is_clean = not found.returns_rows or found.first() is None
    except DBAPIError as error:
        session.rollback()
        if not (sqlstate(error) or "").startswith(ABOUT_VALUES):
            raise
        violations = _rows(session, step)
        if not violations.count:
            raise
        return violations
    session.rollback()
    return None if is_clean else _rows(session, step)


def _rows(session: MigrationSession, step: LookStep) -> Violations:
    _settings(session, step)
    for sql in step.prepare:
        session.execute_sql(sql)
    counted = f"SELECT count(*) FROM ({step.rows}) AS found"  # noqa: S608  # a plan's own text
    count = session.execute_sql(counted).scalar_one()
    examples = session.execute_sql(f"{step.rows} LIMIT {SHOWN}").all()
    session.rollback()
    return Violations(
        what=step.one if step.one and count == 1 else step.what,
        count=count,
        examples=tuple("(" + ", ".join(map(str, row)) + ")" for row in examples),
        query="; ".join((*step.prepare, step.rows)),
    )


def _settings(session: MigrationSession, step: LookStep) -> None:
    session.lift_limits_for_transaction()
    for name, setting in step.settings:
        session.execute(SET_LOCAL, {"name": name, "setting": setting})
