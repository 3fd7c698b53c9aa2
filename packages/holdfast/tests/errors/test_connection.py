"""A connection that cannot be made says what was tried, which setting says so and what to do, whatever the reason."""

import pytest

from holdfast.errors.connection import Profiled, Tried, cannot_connect, tried

DB = Tried(user="app", database="shop", host="db", port="5432", sslmode="require")
PRODUCTION = Profiled(profile="production", tls="required")
TRIED = "Tried: user app, database shop, host db, port 5432, sslmode=require. That is what DATABASE_URL says."

# The words of libpq or of the server, and the rest of the message.
TABLE = [
    (
        "connection failed: server does not support SSL, but SSL was required",
        "The profile production (HOLDFAST_PROFILE) has TLS required (HOLDFAST_TLS). This server offers no TLS.",
        (
            "For a server on this machine: HOLDFAST_PROFILE=development, or HOLDFAST_TLS=remote, which asks for TLS "
            "on the network only. Otherwise switch TLS on in the server: ssl = on in postgresql.conf."
        ),
    ),
    (
        'FATAL:  password authentication failed for user "app"',
        "The server does not accept the password of app, or was given none.",
        (
            "Correct the password in DATABASE_URL, or set HOLDFAST_PASSWORD or HOLDFAST_PASSWORD_FILE. "
            "To try it: psql -h db -p 5432 -U app shop"
        ),
    ),
    (
        "failed to resolve host 'db': [Errno -2] Name or service not known",
        "No address is known for this host, seen from here.",
        "Correct the host in DATABASE_URL; inside a container it is the name of the service, not localhost.",
    ),
    (
        'connection to server at "db", port 5432 failed: Connection refused',
        "The host answers, but nothing listens on this port.",
        "Start the server, or correct host and port in DATABASE_URL. To try it: pg_isready -h db -p 5432",
    ),
    (
        'connection to server at "db", port 5432 failed: timeout expired',
        "The host does not answer: a firewall, another network, a wrong address.",
        "Check the way to it: pg_isready -h db -p 5432. If it is another host: DATABASE_URL",
    ),
    (
        'FATAL:  database "shop" does not exist',
        "The server answers, but has no database of that name.",
        "Correct the database in DATABASE_URL, or make it: createdb -h db -p 5432 shop",
    ),
    (
        'FATAL:  role "app" does not exist',
        "The server has no such user who may log in.",
        'Correct the user in DATABASE_URL, or, as an administrator: CREATE ROLE "app" LOGIN PASSWORD ...',
    ),
    (
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop", no encryption',
        "The server admits app over TLS only (pg_hba.conf), and this connection has none.",
        "Ask for TLS: HOLDFAST_TLS=required",
    ),
    (
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop", SSL encryption',
        "The server's pg_hba.conf has no line for this user, database and address.",
        "Add one on the server and reload it (SELECT pg_reload_conf()), or correct DATABASE_URL.",
    ),
    (
        "SSL error: certificate verify failed",
        "The server's certificate is not one that this process trusts for this host.",
        (
            "Name the CA that signed it: HOLDFAST_TLS_CA=/path/to/ca.pem, or system; the host in DATABASE_URL must be "
            "a name in the certificate."
        ),
    ),
    (
        "channel binding is required, but server did not offer an authentication method that supports channel binding",
        (
            "The profile production (HOLDFAST_PROFILE) has TLS required (HOLDFAST_TLS). Without a CA the server proves "
            "itself by the password (SCRAM with channel binding); this one asks for another way to log in."
        ),
        (
            "In the server's pg_hba.conf: scram-sha-256 instead of trust, md5 or password. Or name its CA: "
            "HOLDFAST_TLS_CA=/path/to/ca.pem, or system"
        ),
    ),
    (
        "FATAL:  sorry, too many clients already",
        "All connections that the server, the database or the role allows are in use.",
        "Close some (SELECT * FROM pg_stat_activity), lower HOLDFAST_POOL_MAX, or raise max_connections.",
    ),
    (
        'FATAL:  too many connections for role "app"',
        "All connections that the role or the database may have are in use; a migration has up to six.",
        (
            "Close some (SELECT * FROM pg_stat_activity), or raise the limit that is named: ALTER ROLE app CONNECTION "
            "LIMIT -1; or ALTER DATABASE shop CONNECTION LIMIT -1;"
        ),
    ),
    (
        "FATAL:  the database system is starting up",
        "The server is there, but does not take connections yet, or no longer does.",
        "Wait for it: pg_isready -h db -p 5432; then the same command again.",
    ),
    (
        "something that nobody has seen before",
        "The words above are the server's, or those of libpq.",
        "Correct DATABASE_URL, then try the same with psql: psql -h db -p 5432 -U app shop",
    ),
]


@pytest.mark.parametrize(("said", "reason", "advice"), TABLE)
def test_of_the_settings(said: str, reason: str, advice: str) -> None:
    """The whole text, by holdfast's own settings; nothing is ever said of giving a revision up."""
    error = cannot_connect(said, to=DB, setting="DATABASE_URL", ours=PRODUCTION)
    shown = said.removeprefix("connection failed: ")
    assert str(error) == (f"No connection to the database: {shown}\n{TRIED} {reason}\n{advice}")
    assert "abandon" not in str(error)


def test_of_a_url_in_a_file() -> None:
    """An engine of env.py's own: nothing is said of settings that it does not read."""
    error = cannot_connect(
        "server does not support SSL, but SSL was required\nand more",
        to=tried({"host": "/run/pg", "user": "app", "dbname": "shop", "sslmode": "require"}),
        setting="sqlalchemy.url in alembic.ini",
        ours=None,
    )
    assert str(error) == (
        "No connection to the database: server does not support SSL, but SSL was required\n"
        "Tried: user app, database shop, the socket in /run/pg, port 5432, sslmode=require. That is what "
        "sqlalchemy.url in alembic.ini says. sslmode=require was asked for. This server offers no TLS.\n"
        "For a server on this machine: sslmode=disable in sqlalchemy.url in alembic.ini. "
        "Otherwise switch TLS on in the server: ssl = on in postgresql.conf."
    )


def test_what_a_shell_would_read_is_quoted() -> None:
    """A command in a message can be pasted, whatever the names in it."""
    odd = Tried(user="o'brien", database="my shop", host="/srv/a&b", port="5432", sslmode=None)
    error = cannot_connect("password authentication failed", to=odd, setting="URL", ours=None)
    assert "-h '/srv/a&b' -p 5432 -U 'o'\"'\"'brien' 'my shop'" in str(error)
    error = cannot_connect('role "o\'brien" does not exist', to=odd, setting="URL", ours=None)
    assert 'CREATE ROLE "o\'brien" LOGIN' in str(error)
