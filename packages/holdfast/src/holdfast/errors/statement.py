"""Errors about one statement, found before it has touched anything."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnparsableStatement(HoldfastError):
    """PostgreSQL's own parser does not accept a statement."""

    statement: str
    message: str
    position: int
    what = "A statement cannot be parsed: {message} (character {position}): {statement}"
    why = "The locks of a statement are read from its syntax tree, and PostgreSQL's parser does not accept this text."
    remedy = "Correct the statement, then: {again}"


@dataclass(kw_only=True, eq=False)
class RefusedStatement(HoldfastError):
    """A statement is refused: as written it would harm users, and it has no online form."""

    statement: str
    is_half_way = False  # its revision, when it was refused
    call = 0  # of the function, that has sent it; where it had waited
    exit_status = 1

    def parts(self) -> tuple[str, str, str]:
        """Give the three parts, and where the revision is if it has already done something."""
        what, why, remedy = super().parts()
        if not self.is_half_way:
            return what, why, remedy
        why = f"{why} What the revision sends before this statement is done already, and recorded."
        remedy = (
            f"{remedy.rstrip('.')}. Edit the revision from this statement on, leave what comes before"
            f" it as it is, and go on from here: {self.again}"
        )
        return what, why, remedy


@dataclass(kw_only=True, eq=False)
class NeedsSession(RefusedStatement):
    """A statement needs a session of its own, or a guard, and the run goes through a pooler."""

    reason: str
    what = "Refused, because a connection pooler is in between: {statement}"
    why = "A pooler keeps nothing of a session from one transaction to the next, and {reason}."
    remedy = (
        "Run it past the pooler: HOLDFAST_MIGRATION_URL=postgresql://USER@HOST:5432/DATABASE names the"
        " server itself. Or take the statement out of the migration."
    )


@dataclass(kw_only=True, eq=False)
class CitusRefuses(RefusedStatement):
    """A statement fails on a table of a Citus cluster, whatever is in it."""

    relation: str
    reason: str
    instead: str
    what = "Refused, because Citus would not execute it on {relation}: {statement}"
    why = "On a Citus cluster {reason}."
    remedy = "{instead}"


@dataclass(kw_only=True, eq=False)
class LongStatement(RefusedStatement):
    """A statement holds a lock on a table in use for as long as the table is large."""

    relation: str
    mode: str
    work: str
    blocks: str
    rows: int
    instead: str
    what = "Refused, because {relation} is in use: {statement}"
    why = (
        "It {work} (about {rows:,} rows) while it holds {mode} on {relation}:"
        " that blocks {blocks} until it ends."
    )
    remedy = (
        "{instead} Or, if the table is small or nobody uses it, allow it in a comment on its line:"
        " {comment} holdfast: allow REASON until YYYY-MM-DD"
    )

    def parts(self) -> tuple[str, str, str]:
        """Give the three parts, without a row count where there is none: on a scratch database, in CI."""
        what, why, remedy = super().parts()
        return what, why.replace(" (about 0 rows)", ""), remedy


@dataclass(kw_only=True, eq=False)
class BreaksRunningCode(RefusedStatement):
    """A statement takes a name away that the application is using."""

    relation: str
    breaks: str
    instead: str
    what = "Refused, because {relation} is in use: {statement}"
    why = "From the moment it is committed, {breaks} of the application that is running fails."
    remedy = (
        "{instead} Or, if nothing uses the old name any more, allow it in a comment on its line:"
        " {comment} holdfast: allow REASON until YYYY-MM-DD"
    )


@dataclass(kw_only=True, eq=False)
class ColumnWithoutValues(RefusedStatement):
    """A new column is NOT NULL and has no default, and the table has rows."""

    relation: str
    column: str
    what = "The rows of {relation} would have no value in {column}: {statement}"
    why = "The column is NOT NULL and has no default: PostgreSQL fails on the first row."
    remedy = (
        "Give it a constant default; or add it without NOT NULL, fill it with an UPDATE, and write"
        " SET NOT NULL after that."
    )


@dataclass(kw_only=True, eq=False)
class NotEnoughDisk(RefusedStatement):
    """What a revision builds and rewrites is larger than the free disk."""

    size: str  # that this statement needs
    needed: str  # by all of the revision
    free: str
    what = "The disk would be full: the revision needs about {needed} more, and {free} are free."
    why = (
        "Most of it, about {size}, is for this statement: {statement}. A full disk stops the server,"
        " for everybody."
    )
    remedy = (
        "Give it more disk, or free some, then run again: {again}. Where there is more than was seen,"
        " say so with HOLDFAST_FREE_DISK (200GB, say), or allow the statement in a comment on its line:"
        " {comment} holdfast: allow REASON until YYYY-MM-DD"
    )


@dataclass(kw_only=True, eq=False)
class TornApart(RefusedStatement):
    """A change that users must not see half done takes too long for one transaction."""

    between: str
    relation: str
    rows: int
    taken: str
    until: str
    what = "Refused, because {relation} is in use: {statement} .. {until}, with what stands between them"
    why = (
        "Between the two, users would find {taken}, so all of it has to be one transaction; but it"
        " holds its locks for as long as this takes (about {rows:,} rows): {between}"
    )
    remedy = (
        "Move that statement in front of the first or behind the second, or into a revision of its own."
        " Or, if the table is small or nobody uses it, allow it in a comment on its line:"
        " {comment} holdfast: allow REASON until YYYY-MM-DD"
    )

    def parts(self) -> tuple[str, str, str]:
        """Give the three parts, without a row count where there is none: on a scratch database, in CI."""
        what, why, remedy = super().parts()
        return what, why.replace(" (about 0 rows)", ""), remedy


@dataclass(kw_only=True, eq=False)
class NotForTwoReleases(RefusedStatement):
    """A change cannot be made in a way that works for two releases."""

    relation: str
    change: str
    reasons: str
    what = "Refused, because {relation} is in use by two releases: {statement}"
    why = "With --expand both releases keep running, but the {change} cannot wait. {reasons}"
    remedy = (
        "Remove what is named there; or run without --expand once the old release is gone, with a comment on the"
        " statement's line: {comment} holdfast: allow REASON until YYYY-MM-DD"
    )


@dataclass(kw_only=True, eq=False)
class NeedsFinish(RefusedStatement):
    """A statement needs a name that still waits for `holdfast finish`, or changes what waits."""

    waiting: str
    revision: str  # that has left it; empty: the same
    what = (
        "Refused, because it has to do with {waiting}, which waits for holdfast finish: {statement}"
    )
    why = (
        "The old release still uses that (revision {revision}); PostgreSQL would fail, or what the statement"
        " makes would be lost when it goes."
    )
    remedy = "When the old release is gone: holdfast finish. Then run again: {again}"

    def parts(self) -> tuple[str, str, str]:
        """Give the three parts; for a change in the same revision there is nothing to finish yet."""
        what, why, remedy = super().parts()
        if self.revision:
            return what, why, remedy
        why = why.replace(" (revision )", "")
        return (
            what,
            why,
            (
                "Move the statement into a revision of its own, to be run after holdfast finish; or run without"
                " --expand when only one release is there."
            ),
        )


@dataclass(kw_only=True, eq=False)
class CannotWaitHere(RefusedStatement):
    """With --expand a change should wait, and it is written where nothing can wait."""

    waiting: str
    what = "Refused, because it cannot wait here, and {waiting} is in use: {statement}"
    why = (
        "With --expand it should wait for holdfast finish; but in a savepoint, or together with statements"
        " that belong to it, it would be done at once."
    )
    remedy = (
        "Write it as a statement of its own, outside of the savepoint; or run without --expand."
    )


@dataclass(kw_only=True, eq=False)
class PreparesTransaction(RefusedStatement):
    """A revision would prepare its transaction (PREPARE TRANSACTION), and nobody would end it."""

    what = "Refused, because nobody would end its transaction: {statement}"
    why = (
        "A prepared transaction keeps its locks until COMMIT PREPARED, including the one that keeps migrators apart:"
        " no other run could begin."
    )
    remedy = (
        "Leave it out: what the revision has done is committed for it, together with its record."
    )
