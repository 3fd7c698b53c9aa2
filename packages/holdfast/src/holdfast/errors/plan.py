"""What can go wrong with one statement before it has touched anything."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnparsableStatement(HoldfastError):
    """PostgreSQL's own parser does not accept a statement."""

    statement: str
    message: str
    position: int
    what = "A statement cannot be parsed: {message} (character {position}): {statement}"
    why = "What a statement locks is read from its syntax tree; PostgreSQL's grammar gives none."
    remedy = "Correct the statement in the migration, then run again: holdfast run"


@dataclass(kw_only=True, eq=False)
class LongStatement(HoldfastError):
    """A statement holds a lock on a table in use for as long as the table is large."""

    statement: str
    relation: str
    mode: str
    work: str
    blocks: str
    rows: int
    instead: str
    exit_status = 1
    what = "Refused, because {relation} is in use: {statement}"
    why = (
        "It {work} (about {rows} rows) while it holds {mode} on {relation}:"
        " that blocks {blocks} until it ends."
    )
    remedy = (
        "{instead} Or, if the table is small or nobody uses it, allow it in a comment on its line:"
        " -- holdfast: allow REASON until YYYY-MM-DD"
    )
