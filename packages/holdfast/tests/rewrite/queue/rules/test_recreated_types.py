"""New types first, columns then, names last; and what cannot be said in that order is left as it was written."""

import pytest

from holdfast.rewrite.queue.rules.recreated_types import can_be_beside, with_types_beside
from holdfast.rewrite.statement import parse

CREATE = "CREATE TYPE e AS ENUM ('x')"
ORDERS = {
    "renamed away": (
        (
            "ALTER TYPE e RENAME TO old; CREATE TYPE e AS ENUM ('x');"
            " ALTER TABLE t ALTER c TYPE e[] USING c::text[]::e[]; DROP TYPE old"
        ),
        [
            "CREATE TYPE e_holdfast AS ENUM ('x')",
            "ALTER TABLE t ALTER COLUMN c TYPE e_holdfast[] USING c::text[]::e_holdfast[]",
            "ALTER TYPE e RENAME TO old",
            "ALTER TYPE e_holdfast RENAME TO e",
            "DROP TYPE old",
        ],
    ),
    "what is dropped before names the type as it is then": (
        (
            "ALTER TYPE s.e RENAME TO old; CREATE TYPE s.e AS ENUM ('x'); DROP FUNCTION f(s.old);"
            " ALTER TABLE t ALTER c TYPE s.e USING 'x'; COMMENT ON TYPE s.e IS 'new'"
        ),
        [
            "CREATE TYPE s.e_holdfast AS ENUM ('x')",
            "DROP FUNCTION f(s.e)",
            "ALTER TABLE t ALTER COLUMN c TYPE s.e_holdfast USING 'x'",
            "ALTER TYPE s.e RENAME TO old",
            "ALTER TYPE s.e_holdfast RENAME TO e",
            "COMMENT ON TYPE s.e IS 'new'",
        ],
    ),
    "a value changes twice": (
        (
            "ALTER TABLE t ALTER c DROP DEFAULT, ALTER c TYPE varchar(9); DROP TYPE e; CREATE TYPE e AS"
            " ENUM ('x'); ALTER TABLE t ALTER c TYPE e USING lower(c)::e, ALTER c SET DEFAULT 'x'"
        ),
        [
            "CREATE TYPE e_holdfast AS ENUM ('x')",
            (
                "ALTER TABLE t ALTER COLUMN c DROP DEFAULT, ALTER COLUMN c TYPE e_holdfast"
                " USING lower(c::varchar)::e_holdfast, ALTER COLUMN c SET DEFAULT 'x'"
            ),
            "DROP TYPE e",
            "ALTER TYPE e_holdfast RENAME TO e",
        ],
    ),
    "a name that is free": (
        (
            "CREATE TYPE n AS ENUM ('x'); ALTER TABLE t ALTER c TYPE n USING c::text::n; DROP TYPE e;"
            " ALTER TYPE n RENAME TO e"
        ),
        [
            "CREATE TYPE n AS ENUM ('x')",
            "ALTER TABLE t ALTER COLUMN c TYPE n USING c::text::n",
            "DROP TYPE e",
            "ALTER TYPE n RENAME TO e",
        ],
    ),
}
# A limit, a default for the type in between, another column that has changed, values and schemas of a type.
AS_WRITTEN = [
    f"ALTER TABLE t ALTER c TYPE char(9); DROP TYPE e; {CREATE}; ALTER TABLE t ALTER c TYPE e",
    f"ALTER TABLE t ALTER c TYPE text, ALTER c SET DEFAULT 'x'; {CREATE}; ALTER TABLE t ALTER c TYPE e",
    f"ALTER TABLE t ALTER c TYPE text; {CREATE}; ALTER TABLE t ALTER d TYPE e USING c::e",
    "ALTER TYPE e ADD VALUE 'y'; ALTER TABLE t ALTER c TYPE e USING c::e",
    f"ALTER TYPE e SET SCHEMA s; {CREATE}; ALTER TABLE t ALTER c TYPE e USING c::text::e",
    "ALTER TYPE e RENAME TO f",
]


@pytest.mark.parametrize("name", ORDERS)
def test_the_order(name: str) -> None:
    """Whatever a type is called for a while: each statement names it as it is called when it runs."""
    written, wanted = ORDERS[name]
    found = with_types_beside(parse(written), taken={"e"})
    assert found is not None
    assert [each.sql for each in found] == wanted


@pytest.mark.parametrize("written", AS_WRITTEN)
def test_what_stays_as_it_is_written(written: str) -> None:
    """What would mean something else, or is not known to mean the same."""
    assert not can_be_beside(parse(written))


def test_a_name_of_ours_that_is_taken() -> None:
    """The next one with a number."""
    written = "ALTER TYPE e RENAME TO o; CREATE TYPE e AS ENUM ('x'); ALTER TABLE t ALTER c TYPE e"
    found = with_types_beside(parse(written), taken={"e", "e_holdfast"})
    assert found is not None
    assert found[0].sql == "CREATE TYPE e_holdfast1 AS ENUM ('x')"
