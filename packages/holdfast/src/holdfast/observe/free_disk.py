"""Finds how much disk is free where the server keeps its tables: as a setting says, or as this machine sees it.

PostgreSQL itself does not tell. Where it is reached through a socket of this machine, its data directory is looked at.
"""

import os
import shutil

from sqlalchemy import Connection, text

UNLIMITED = 2**63  # for a trial on another server, whose disk says nothing

# No row where the role may not see it.
DATA_DIRECTORY = text(
    """
    SELECT setting FROM pg_settings WHERE name = 'data_directory' AND inet_server_addr() IS NULL
    """
)


def free_disk(connection: Connection, *, told: int | None) -> int | None:
    """Give the bytes that are free: `told`, or what is seen; None if nobody knows."""
    if told is not None:
        return told
    directory = connection.execute(DATA_DIRECTORY).scalar_one_or_none()
    if not directory or not os.path.isdir(directory):  # noqa: PTH112  # it may not be readable
        return None
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
