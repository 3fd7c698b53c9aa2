"""The address of a server, from that of the pooler that a provider has put in front of it."""

import pytest
from sqlalchemy import make_url

from holdfast.engine.connection.direct_url import direct_url


@pytest.mark.parametrize(
    ("pooled", "direct"),
    [
        (
            "postgresql://me:x@ep-a-1-pooler.eu.neon.tech/db",
            "postgresql://me@ep-a-1.eu.neon.tech/db",
        ),
        (
            "postgresql://me@a.pooler.supabase.com:6543/db",
            "postgresql://me@a.pooler.supabase.com:5432/db",
        ),
        (
            "postgresql+psycopg://me@127.0.0.1:6432/db?sslmode=require",
            "postgresql://me@127.0.0.1:5432/db",
        ),
        ("postgresql://me@db.example:5432/db", None),
        ("postgresql://me@/db?host=/run/postgresql", None),
    ],
)
def test_direct_url(pooled: str, direct: str | None) -> None:
    """Where the pooled one tells it, whatever else stands in the URL; never with a password."""
    assert direct_url(make_url(pooled)) == direct
