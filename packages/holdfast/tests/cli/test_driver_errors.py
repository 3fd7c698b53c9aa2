"""An error of a driver is told in words of ours."""

import psycopg
from sqlalchemy.exc import ProgrammingError

from holdfast.cli.driver_errors import _explained
from holdfast.errors.migration import NoRightsInSchema


def test_tables_of_holdfast_that_another_role_has_made() -> None:
    """Whatever statement meets them, the error has the statements that let this role in."""
    said = psycopg.errors.InsufficientPrivilege("permission denied for schema holdfast\nLINE 2: ..")
    error = ProgrammingError("SELECT * FROM holdfast.history", {}, said)
    told = _explained(error, {"user": "deploy"})
    assert isinstance(told, NoRightsInSchema)
    assert "GRANT USAGE, CREATE ON SCHEMA holdfast TO deploy;" in str(told)
    assert "LINE" not in str(told)
