"""An enum that is made anew with all its values and more gets ADD VALUE; anything else stays as it is written."""

import pytest

from holdfast.rewrite.facts import EnumInUse, Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.rules.values_added import with_values_added
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse

TABLE = QualifiedName(schema="public", name="t")
ENUM = EnumInUse(
    name=QualifiedName(schema="public", name="e"),
    labels=("a", "b"),
    columns=frozenset([(TABLE, "c"), (TABLE, "d")]),
)
RELATION = Relation(oid=1, name=TABLE, kind=RelationKind.TABLE)
FACTS = Facts(
    server_major=18,
    relations={("", "t"): RELATION, ("public", "t"): RELATION},
    enums=(ENUM,),
)
AWAY, GONE = "ALTER TYPE e RENAME TO old;", "DROP TYPE old"
COLUMNS = "ALTER TABLE t ALTER c TYPE e USING c::text::e; ALTER TABLE t ALTER d TYPE e[] USING d::text[]::e[];"
SAME = {
    "renamed away": (
        f"{AWAY} CREATE TYPE public.e AS ENUM ('z', 'a', 'm', 'n', 'b', 'y'); {COLUMNS} {GONE}",
        [
            "ALTER TYPE public.e ADD VALUE 'z' BEFORE 'a'",
            "ALTER TYPE public.e ADD VALUE 'm' BEFORE 'b'",
            "ALTER TYPE public.e ADD VALUE 'n' BEFORE 'b'",
            "ALTER TYPE public.e ADD VALUE 'y'",
        ],
    ),
    "the new type first, its name last; a default by that name": (
        (
            "CREATE TYPE n AS ENUM ('a', 'b', 'it''s'); ALTER TABLE t ALTER c DROP DEFAULT, ALTER c TYPE n USING"
            " c::varchar::n, ALTER c SET DEFAULT 'it''s'::n; ALTER TABLE t ALTER d TYPE n[] USING d::text[]::n[];"
            " DROP TYPE e; ALTER TYPE n RENAME TO e; UPDATE t SET c = 'a'"
        ),
        [
            "ALTER TYPE public.e ADD VALUE 'it''s'",
            "ALTER TABLE public.t ALTER COLUMN c SET DEFAULT 'it''s'::public.e",
            "UPDATE t SET c = 'a'",
        ],
    ),
    "by way of a text": (
        (
            "ALTER TABLE t ALTER c TYPE text, ALTER d TYPE text[]; DROP TYPE e; CREATE TYPE e AS ENUM ('a', 'b', 'x');"
            f" {COLUMNS} SELECT 1"
        ),
        ["ALTER TYPE public.e ADD VALUE 'x'", "SELECT 1"],
    ),
    "twice": (
        (
            f"{AWAY} CREATE TYPE e AS ENUM ('a', 'b', 'x'); {COLUMNS} {GONE};"
            f" {AWAY} CREATE TYPE e AS ENUM ('a', 'w', 'b', 'x'); {COLUMNS} {GONE}"
        ),
        ["ALTER TYPE public.e ADD VALUE 'x'", "ALTER TYPE public.e ADD VALUE 'w' BEFORE 'b'"],
    ),
    "functions and operators between the two": (
        (
            f"{AWAY} CREATE TYPE e AS ENUM ('a', 'b', 'x'); CREATE FUNCTION f(e, old) RETURNS bool LANGUAGE sql AS"
            f" 'SELECT $1::text = $2::text'; CREATE OPERATOR = (leftarg = e, rightarg = old, procedure = f); {COLUMNS}"
            f" DROP OPERATOR IF EXISTS = (e, old); DROP FUNCTION f(e, old); {GONE}"
        ),
        ["ALTER TYPE public.e ADD VALUE 'x'"],
    ),
}
MORE = "CREATE TYPE e AS ENUM ('a', 'b', 'x');"
# A value less, another order, none more; a column left out, or converted; what stays, stands between, is elsewhere.
OTHER = [
    f"{AWAY} CREATE TYPE e AS ENUM ('a', 'x'); {COLUMNS} {GONE}",
    f"{AWAY} CREATE TYPE e AS ENUM ('b', 'a', 'x'); {COLUMNS} {GONE}",
    f"{AWAY} CREATE TYPE e AS ENUM ('a', 'b'); {COLUMNS} {GONE}",
    f"{AWAY} {MORE} ALTER TABLE t ALTER c TYPE e USING c::text::e; {GONE}",
    f"{AWAY} {MORE} {COLUMNS.replace('c::text::e', 'lower(c::text)::e')} {GONE}",
    f"{AWAY} {MORE} {COLUMNS.replace('USING c', 'USING d')} {GONE}",
    f"{AWAY} {MORE} {COLUMNS.replace('c::text', 'c::varchar(1)')} {GONE}",
    f"{AWAY} {MORE} {COLUMNS}",
    f"{AWAY} {MORE} {COLUMNS} {GONE} CASCADE",
    f"{AWAY} {MORE} UPDATE t SET g = 1; {COLUMNS} {GONE}",
    f"{AWAY} {MORE} CREATE FUNCTION f(e) RETURNS bool LANGUAGE sql AS 'SELECT true'; {COLUMNS} {GONE}",
    f"{AWAY} CREATE TYPE s.e AS ENUM ('a', 'b', 'x'); {COLUMNS.replace('TYPE e', 'TYPE s.e')} {GONE}",
    f"{AWAY} {MORE} {COLUMNS} ALTER TABLE u ALTER c TYPE e USING c::text::e; {GONE}",
    "CREATE TYPE n AS ENUM ('a', 'b', 'x'); ALTER TYPE e RENAME TO old; DROP TYPE old",
]


def planned(script: str) -> list[str]:
    entries = [
        QueueEntry(statement=each, facts=FACTS, position=place)
        for place, each in enumerate(parse(script))
    ]
    return [entry.statement.sql for entry in with_values_added(entries)]


@pytest.mark.parametrize("name", SAME)
def test_only_values_are_added(name: str) -> None:
    """Whatever the types are called for a while, and whatever stands between them: the values, then the defaults."""
    written, wanted = SAME[name]
    assert planned(written) == wanted


@pytest.mark.parametrize("written", OTHER)
def test_anything_else(written: str) -> None:
    """Whatever else the statements do: they stay as they are."""
    assert planned(written) == [each.sql for each in parse(written)]
