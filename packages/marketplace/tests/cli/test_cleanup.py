"""`marketplace cleanup` says what it has deleted."""

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from marketplace.cli import marketplace


def test_cleanup(migrated: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each job."""
    monkeypatch.setenv("DATABASE_URL", migrated.url.render_as_string(hide_password=False))
    result = CliRunner().invoke(marketplace, ["cleanup"])
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "sessions: 0 rows",
            "addresses and user agents: 0 rows",
            "e-mail verifications: 0 rows",
            "e-mail changes: 0 rows",
            "dead letters: 0 rows",
            "idempotency keys: 0 rows",
            "rate counts: 0 rows",
            "audit events: 0 rows",
            "expired orders: 0 rows",
        ],
    )


def test_demo_is_listed() -> None:
    """With what it can show."""
    result = CliRunner().invoke(marketplace, ["demo", "--help"])
    assert result.exit_code == 0
    assert "refresh-storm" in result.stdout
