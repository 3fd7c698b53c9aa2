"""Statements that PostgreSQL refuses inside a transaction."""

from collections.abc import Callable

import pytest

Check = Callable[..., None]


@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM orders",
        "ALTER TABLE log DETACH PARTITION log_1 CONCURRENTLY",
        "CREATE DATABASE x",
        "ALTER SYSTEM SET work_mem = '8MB'",
        "DROP INDEX CONCURRENTLY missing",
    ],
)
def test_outside(sql: str, check_steps: Check) -> None:
    """As they are written."""
    check_steps(sql, f"autocommit: {sql}")
