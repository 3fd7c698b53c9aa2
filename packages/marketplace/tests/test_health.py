"""Whether the process runs, and whether it can serve."""

import httpx
from sqlalchemy import Engine, NullPool, create_engine, text

from holdfast.migrate.run import downgrade
from holdfast.observe.schema_constants import KEY
from holdfast.testing.blockers import holding
from marketplace import schema

HEAD = schema.known_revisions()[0]


END_SESSIONS = text("""
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :database
""")


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_the_address_leads_somewhere(api: httpx.Client) -> None:
    """Who opens it in a browser comes to a page."""
    answer = api.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert api.get("/docs").status_code == 200


def test_ready(api: httpx.Client) -> None:
    """The database answers and is at head."""
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "revision": HEAD})


def test_not_ready_while_a_migration_is_pending(api: httpx.Client, shop: Engine) -> None:
    """503, with the revision that is there and the one that is needed."""
    before = schema.known_revisions()[1]
    config = schema.migration_config()
    with shop.connect() as connection:
        config.attributes["connection"] = connection
        downgrade(config, "-1")
    answer = api.get("/readyz")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()) == (
        503,
        {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "code": "migrations_pending",
            "detail": f"The database is at revision {before}; this version needs {HEAD}.",
            "request_id": answer.headers["x-request-id"],
        },
    )


def test_not_ready_says_how_far_the_migration_is(api: httpx.Client, shop: Engine) -> None:
    """While another process holds the lock of migrations: who watches a rollout sees it move."""
    before = schema.known_revisions()[1]
    execute(shop, f"UPDATE alembic_version SET version_num = '{before}'")
    execute(shop, f"UPDATE holdfast.history SET outcome = 'running' WHERE revision = '{HEAD}'")
    url = shop.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with holding(url, f"SELECT pg_advisory_lock({KEY})"):
        answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["progress"]) == (503, f"revision {HEAD} up")


def test_not_ready_without_a_schema(api: httpx.Client, shop: Engine) -> None:
    """503, not an error of ours."""
    execute(shop, "DROP TABLE alembic_version")
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "migrations_pending")


def test_ready_while_a_newer_version_is_rolled_out(api: httpx.Client, shop: Engine) -> None:
    """Its migrations come first; until they are replaced, the older processes go on serving."""
    execute(shop, "UPDATE alembic_version SET version_num = 'of the next version'")
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["revision"]) == (200, "of the next version")


def test_up_but_not_ready_without_a_database(api: httpx.Client, shop: Engine) -> None:
    """The process is fine and says so; it is ready again as soon as the database is."""
    server = create_engine(
        shop.url.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    allow = f'ALTER DATABASE "{shop.url.database}" ALLOW_CONNECTIONS'
    with server.connect() as connection:
        connection.execute(text(f"{allow} false"))
        connection.execute(END_SESSIONS, {"database": shop.url.database})
        answer = api.get("/readyz")
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unreachable")
        assert api.get("/healthz").json() == {"status": "ok"}
        connection.execute(text(f"{allow} true"))
    assert api.get("/readyz").status_code == 200
