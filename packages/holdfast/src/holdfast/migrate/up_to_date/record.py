"""Records after a full run what lets the next quick look see that a database is up to date.

The statement that writes it finds out by itself whether it is true: at the one head, no file edited since it was
applied, nothing half-way. So whatever another process does meanwhile, nothing untrue is written.
"""

import logging
from collections.abc import Mapping

import psycopg

from holdfast.migrate.up_to_date.files import digest_of_files
from holdfast.migrate.up_to_date.look import Project

log = logging.getLogger(__name__)

IS_OURS = "SELECT to_regclass('holdfast.history') IS NOT NULL"
# One row for each set of files, options and settings that a full run has found to be up to date here.
CREATE = """
    CREATE TABLE IF NOT EXISTS holdfast.up_to_date (
        fingerprint text PRIMARY KEY,
        head text NOT NULL,
        version_table oid NOT NULL,
        history bigint NOT NULL,
        since timestamptz NOT NULL DEFAULT now()
    )
"""
FORGET = "DELETE FROM holdfast.up_to_date WHERE history <> (SELECT max(id) FROM holdfast.history)"
RECORD = """
    WITH last AS (SELECT DISTINCT ON (version_table, revision) * FROM holdfast.history
                  ORDER BY version_table, revision, id DESC),
         files AS (SELECT * FROM unnest(%(revisions)s::text[], %(checksums)s::text[])
                            AS f (revision, checksum))
    INSERT INTO holdfast.up_to_date (fingerprint, head, version_table, history)
    SELECT %(fingerprint)s, %(head)s, 'alembic_version'::regclass, max(id) FROM holdfast.history
    WHERE ARRAY(SELECT version_num::text FROM alembic_version) = ARRAY[%(head)s]
      AND NOT EXISTS (SELECT FROM last WHERE outcome <> 'done')
      AND NOT EXISTS (SELECT FROM last JOIN files USING (revision)
                      WHERE direction = 'up' AND last.checksum NOT IN (files.checksum, %(no_file)s))
    HAVING max(id) IS NOT NULL
    ON CONFLICT (fingerprint) DO UPDATE
       SET head = excluded.head, version_table = excluded.version_table, history = excluded.history,
           since = excluded.since
"""


def record(project: Project, *, head: str, checksums: Mapping[str, str], no_file: str) -> None:
    """Record that the project's database is at its head, if it is.

    `checksums` are those of the files, by revision; `no_file` is that of what was applied without one.
    Never fails: without the record the next run only takes longer.
    """
    try:
        if digest_of_files(project.folder) != project.files:
            return  # somebody deploys: which files env.py has seen is not known
        with project.connect() as connection:
            row = connection.execute(IS_OURS).fetchone()
            if row != (True,):
                return
            connection.execute(CREATE)
            connection.execute(FORGET)
            connection.execute(
                RECORD,
                {
                    "fingerprint": project.fingerprint,
                    "head": head,
                    "revisions": list(checksums),
                    "checksums": list(checksums.values()),
                    "no_file": no_file,
                },
            )
    except (psycopg.Error, OSError) as error:
        log.debug("not recorded as being up to date: %s", error)
