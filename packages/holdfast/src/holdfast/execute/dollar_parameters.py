"""Puts values in the place of $1, $2, ..: a finished text, whatever the driver."""

from collections.abc import Sequence
from typing import Any

import postgast
from postgast import pg_query_pb2 as pb
from psycopg import sql as psycopg_sql


def with_values(sql: str, values: Sequence[Any]) -> str:
    """Give the statement with each value as a literal. Nothing is sent."""
    text = sql.encode()
    for token in reversed(postgast.scan(sql).tokens if values else []):
        if token.token == pb.PARAM:
            number = int(text[token.start + 1 : token.end])
            literal = psycopg_sql.Literal(values[number - 1]).as_string(None)
            text = text[: token.start] + literal.encode() + text[token.end :]
    return text.decode()
