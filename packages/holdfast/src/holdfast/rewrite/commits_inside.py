"""Decides whether a statement may commit while it runs: a procedure, or a DO block that ends transactions.

Read from the body's own syntax, as PL/pgSQL parses it: a COMMIT in a comment or a text is none, and a procedure that
the body calls may commit.
"""

from collections.abc import Iterator

from postgast import PgQueryError, parse_plpgsql
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.statement import Statement

BODY = "PLpgSQL_stmt_block"
# CALL and a nested DO are one kind of statement to PL/pgSQL.
ENDS_TRANSACTIONS = {"PLpgSQL_stmt_commit", "PLpgSQL_stmt_rollback", "PLpgSQL_stmt_call"}


def may_commit_inside(statement: Statement) -> bool:
    """Whether the statement may commit while it runs; so may a DO block in another language than PL/pgSQL."""
    if isinstance(statement.node, pb.CallStmt):
        return True
    if not isinstance(statement.node, pb.DoStmt):
        return False
    try:
        kinds = set(_kinds(parse_plpgsql(statement.sql)))
    except PgQueryError:
        return True
    return BODY not in kinds or bool(kinds & ENDS_TRANSACTIONS)


def _kinds(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        yield from tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _kinds(each)
