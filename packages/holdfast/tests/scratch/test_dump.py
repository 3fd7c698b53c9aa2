"""The schema of a database as text, fit for comparison."""

import psycopg
import pytest

from holdfast.errors.scratch import SchemaNotDumped
from holdfast.scratch.dump import schema_dump

SCHEMA = """
    CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
    COMMENT ON TABLE item IS 'what is sold';
    CREATE FUNCTION rename() RETURNS void LANGUAGE sql BEGIN ATOMIC; END;
    CREATE FUNCTION touch() RETURNS void LANGUAGE sql AS $$
-- all of them
UPDATE item
SET name = name;
$$;
    CREATE SCHEMA holdfast;
    CREATE TABLE holdfast.history (id int);
"""
DUMP = """
CREATE FUNCTION public.rename() RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
END;

CREATE FUNCTION public.touch() RETURNS void
    LANGUAGE sql
    AS $$
-- all of them
UPDATE item
SET name = name;
$$;

CREATE TABLE public.item (
    id integer NOT NULL,
    name text NOT NULL
);

COMMENT ON TABLE public.item IS 'what is sold';

ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);
"""


def test_an_empty_database_has_no_schema(database: str) -> None:
    """Nothing of pg_dump's own remains."""
    assert schema_dump(database) == ""


def test_the_schema_and_nothing_else(database: str) -> None:
    """Headings, settings and our own records are left out; bodies of functions stay whole."""
    with psycopg.connect(database) as connection:
        connection.execute(SCHEMA)
    assert schema_dump(database) == DUMP.strip()


def test_a_failure_keeps_the_password() -> None:
    """The error names the database and what pg_dump said, not the URL."""
    with pytest.raises(SchemaNotDumped) as failure:
        schema_dump("postgresql://shop:secret@127.0.0.1:1/shop")
    assert vars(failure.value)["database"] == "shop"
    assert "secret" not in str(failure.value)
