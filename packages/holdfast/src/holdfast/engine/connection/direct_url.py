"""Guesses the server's own address from that of the pooler in front of it, for well-known providers."""

from sqlalchemy import URL

# Neon: ep-name-pooler.region; Supabase: port 6543 of the same host; PgBouncer's own: 6432.
POOLER_SUFFIX = "-pooler"
POOLER_PORTS = (6543, 6432)
PORT = 5432


def direct_url(url: URL) -> str | None:
    """Give the URL that goes past the pooler, without a password; None if the address does not show one."""
    host = url.host or ""
    name, dot, domain = host.partition(".")
    direct = url.set(
        drivername="postgresql",
        host=f"{name.removesuffix(POOLER_SUFFIX)}{dot}{domain}" if host else None,
        port=PORT if url.port in POOLER_PORTS else url.port,
        query={},
    )
    if (direct.host, direct.port) == (url.host, url.port):
        return None
    return URL.create(
        "postgresql",
        username=direct.username,
        host=direct.host,
        port=direct.port,
        database=direct.database,
    ).render_as_string()
