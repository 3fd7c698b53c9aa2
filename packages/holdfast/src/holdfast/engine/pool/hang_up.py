"""Closes a connection from any thread, without waiting, while another thread waits for its server."""

import os
import socket
from contextlib import suppress
from typing import Any

from psycopg import OperationalError


def hang_up(connection: Any) -> None:
    """End the wait on this psycopg connection: the waiting code sees the server as gone."""
    with (
        suppress(OSError, OperationalError),  # it has ended by itself
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours,
    ):
        ours.shutdown(socket.SHUT_RDWR)
