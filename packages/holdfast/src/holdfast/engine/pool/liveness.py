"""Tells whether a connection's server is still there without asking it: one look at the socket.

A healthy idle connection is silent. When the server has ended it, there is something to read: the message
that it was ended, or the end of the stream. A network that silently swallows packets cannot be seen this
way; `tcp_user_timeout` ends such connections. psycopg only, on systems with poll(2).
"""

import select

from psycopg import OperationalError
from psycopg.pq import ConnStatus
from psycopg.pq.abc import PGconn

from holdfast.engine.changed_shapes import take_in


def is_alive(pgconn: PGconn) -> bool:
    """Whether the server still holds its end of this connection. Never blocks, never writes."""
    if pgconn.status != ConnStatus.OK:
        return False
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    # Twice: the server's last message may arrive before the end of the stream does.
    return not poll.poll(0) or (_is_open(pgconn) and (not poll.poll(0) or _is_open(pgconn)))


def _is_open(pgconn: PGconn) -> bool:
    try:
        pgconn.consume_input()  # a notice or a parameter change is no end
        take_in(pgconn)  # what a migration has changed is known before the first statement
    except OperationalError:
        return False
    return bool(pgconn.status == ConnStatus.OK)


def says_read_only(pgconn: PGconn) -> bool:
    """Whether the server reports that it takes no writes; also true if it reports nothing (a pooler)."""
    reported = (
        pgconn.parameter_status(b"in_hot_standby"),
        pgconn.parameter_status(b"default_transaction_read_only"),
    )
    return reported != (b"off", b"off")
