"""Ends a connection from outside, while somebody waits for its server: from any thread, without waiting."""

import os
import socket
from contextlib import suppress
from typing import Any

from psycopg import OperationalError


def hang_up(connection: Any) -> None:
    """Whoever waits on this connection of psycopg is told that the server has ended it."""
    with (
        suppress(OSError, OperationalError),  # it has ended by itself
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours,
    ):
        ours.shutdown(socket.SHUT_RDWR)
