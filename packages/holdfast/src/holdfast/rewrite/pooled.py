"""Refuses what a run through a transaction pooler cannot execute: what needs its own session, or the guard."""

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import NeedsSession
from holdfast.rewrite.statement import (
    Statement,
    StatementKind,
    function_names,
    is_opaque_ddl,
    shortened,
)

CURSOR_OPT_HOLD = 0x0020  # of parsenodes.h
UNSEEN = "nobody can look into it, and through a pooler no guard keeps users from waiting for it"
# Why each of these needs the session in which it is sent.
OF_SESSION: dict[type[Message], str] = {
    pb.PrepareStmt: "what it prepares belongs to its session",
    pb.ExecuteStmt: "what it executes was prepared in its session",
    pb.DeallocateStmt: "it forgets what its session has prepared",
    pb.ListenStmt: "its session is the one that is told",
    pb.UnlistenStmt: "its session is the one that is told",
    pb.DiscardStmt: "it empties its session",
    pb.LoadStmt: "what it loads belongs to its session",
}


def refuse_without_session(statement: Statement, *, is_call: bool) -> None:
    """Raise NeedsSession if a pooler would hand on what it leaves in a session, or it is a body (`is_call`)."""
    reason = UNSEEN if is_call or is_opaque_ddl(statement.node) else _of_session(statement)
    if reason is not None:
        raise NeedsSession(statement=shortened(statement.sql), reason=reason)


def _of_session(statement: Statement) -> str | None:
    node = statement.node
    if statement.kind is StatementKind.SET:
        return "it sets something for its session: SET LOCAL holds for the transaction"
    if statement.kind is StatementKind.TEMP:
        return "the table would stay in a session of the pooler"
    if isinstance(node, pb.DeclareCursorStmt) and node.options & CURSOR_OPT_HOLD:
        return "the cursor would stay in a session of the pooler"
    if any(_locks_session(name) for name in function_names(node)):
        return "the lock would stay in a session of the pooler"
    return OF_SESSION.get(type(node))


def _locks_session(function: str) -> bool:
    return "_advisory_" in function and "_xact_" not in function
