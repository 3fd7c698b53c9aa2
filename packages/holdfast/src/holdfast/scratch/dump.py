"""The schema of a database as text, for comparing two of them.

From `pg_dump --schema-only`, without what differs between two equal schemas: comments, the session
settings at its head, the random key of `\\restrict`. The schema `holdfast` (our own records) is
left out.
"""

import re
import subprocess

from holdfast.scratch.server import binary

# pg_dump reads every server up to its own major version.
NEWEST = 18
NOISE = re.compile(
    r"^(--.*|\\(un)?restrict .*|SET .*|SELECT pg_catalog\.set_config\(.*)$\n?", re.MULTILINE
)


def schema_dump(url: str) -> str:
    """The statements that make the schema, one blank line between them."""
    dump = subprocess.run(
        [binary("pg_dump", major=NEWEST), "--schema-only", "--exclude-schema=holdfast", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return re.sub(r"\n{3,}", "\n\n", NOISE.sub("", dump)).strip() + "\n"
