"""What a table needs beside it, in a generated revision: types, sequences, and what Alembic does not see of it."""

from textwrap import dedent

import pytest
from alembic import command
from alembic_project import Project
from everywhere import named
from models_env import give_models, lines_that_lead_there_and_back

from holdfast.scratch.databases import Postgres

# For each: the history, and the models. Each table of one stands for a case of its own.
BESIDE_TABLES = {
    "dropped tables": (
        """
        from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN
        op.execute("CREATE SCHEMA s; CREATE SCHEMA empty")
        op.create_table("empty", sa.Column("a", sa.Integer), schema="empty")
        enum, domain = sa.Enum("x", "it's", name="e"), DOMAIN("d", sa.String(9), not_null=True)
        op.create_table("with_enum", sa.Column("a", enum, server_default="x"))
        op.create_table("with_enum_too", sa.Column("a", sa.Enum("x", name="E 2", schema="s")))
        op.create_table("with_arrays", sa.Column("a", ARRAY(sa.Enum("x", name="f"))), sa.Column("d", domain))
        op.execute('''
            CREATE TABLE array_of_domain (d d[]);
            CREATE TABLE that_counts (id int PRIMARY KEY, n smallserial, m bigserial);
            CREATE SEQUENCE s.beside; CREATE TABLE with_sequence (id int PRIMARY KEY DEFAULT nextval('s.beside'));
            CREATE TABLE with_identity (id int GENERATED ALWAYS AS IDENTITY (START 7 CACHE 3) PRIMARY KEY);
            CREATE TABLE p (id int PRIMARY KEY);
            CREATE TABLE with_all_that_alembic_does_not_see (
                a int, r int4range, w text COLLATE "C" DEFAULT 'x', g int GENERATED ALWAYS AS (a + 1) STORED,
                p int CONSTRAINT fk REFERENCES p ON DELETE SET NULL (p) DEFERRABLE INITIALLY DEFERRED,
                CONSTRAINT x EXCLUDE USING gist (r WITH &&) WHERE (a > 0), UNIQUE NULLS NOT DISTINCT (w) INCLUDE (a));
            COMMENT ON TABLE with_all_that_alembic_does_not_see IS 'a';
            COMMENT ON COLUMN with_all_that_alembic_does_not_see.a IS 'b';
            CREATE INDEX j ON with_all_that_alembic_does_not_see (lower(w));
            CREATE INDEX i ON with_all_that_alembic_does_not_see (a DESC NULLS LAST, w text_pattern_ops)
                INCLUDE (r) WITH (fillfactor = 70) WHERE a > 0;
        ''')
        """,
        "sa.Table('p', metadata, sa.Column('id', sa.Integer, primary_key=True))",
    ),
    "dropped columns": (
        """
        op.execute('''
            CREATE TYPE e AS ENUM ('x'); CREATE DOMAIN d AS text NOT NULL DEFAULT 'y' CHECK (VALUE <> \\'\\');
            CREATE TABLE t (id int PRIMARY KEY, e e DEFAULT 'x', f e[], d d, n bigserial,
                i int GENERATED ALWAYS AS IDENTITY (START 7 CACHE 3), r int4range, CHECK (e <> 'x' OR id > 0),
                CONSTRAINT x EXCLUDE USING gist (r WITH &&));
            CREATE TABLE u (id int PRIMARY KEY, e e);
        ''')
        """,
        """
sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
sa.Table(
    "u", metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("e", sa.Enum("x", name="e")),
)
        """,
    ),
    "new tables that share their types": (
        """
        op.create_table("t", sa.Column("a", sa.Enum("x", "z", name="shared")))
        op.execute("CREATE TYPE there AS ENUM ('x'); CREATE TYPE grows AS ENUM ('x')")
        """,
        """
import enum

class Decorated(sa.types.TypeDecorator):
    impl = sa.Enum("x", name="decorated")
    cache_ok = True

shared, of_metadata = sa.Enum("x", "z", name="shared"), sa.Enum("x", name="of metadata", metadata=metadata)
domain = postgresql.DOMAIN("d", sa.Text, check=sa.text("VALUE <> \'\'"))
sa.Table("t", metadata, sa.Column("a", shared), sa.Column("b", of_metadata))
sa.Table(
    "u", metadata, sa.Column("a", shared), sa.Column("b", postgresql.ARRAY(shared)), sa.Column("c", of_metadata),
    sa.Column("d", domain), sa.Column("e", sa.Enum(enum.Enum("Kind", "x y"))), sa.Column("f", Decorated),
    sa.Column("g", sa.Enum("x", name="there")), sa.Column("h", sa.Enum("x", "y", name="grows")),
)
sa.Table(
    "v", metadata, sa.Column("a", postgresql.ARRAY(domain)), sa.Column("b", sa.Enum("x", name="E 2", schema="s")),
    sa.Column("c", postgresql.ARRAY(Decorated)), sa.Column("d", of_metadata), schema="own",
)
        """,
    ),
    "types that change": (
        """
        op.execute('''
            CREATE TYPE less AS ENUM ('x', 'y'); CREATE TYPE more AS ENUM ('x');
            CREATE TABLE t (id int, less less DEFAULT 'x', several less[] DEFAULT '{x}', more more, many more[],
                becomes_another less DEFAULT 'x', becomes_text less, becomes_enum text DEFAULT 'x',
                CONSTRAINT c CHECK (less <> 'x' OR id > 0), CONSTRAINT d CHECK (more <> 'x' OR id > 0));
            CREATE INDEX i ON t (id) WHERE less = 'x'; CREATE INDEX j ON t (id) WHERE less = 'y';
            CREATE INDEX k ON t (more, id) WHERE more <> 'x';
        ''')
        """,
        """
less, more = sa.Enum("x", name="less"), sa.Enum("x", "y", name="more")
t = sa.Table(
    "t", metadata, sa.Column("id", sa.Integer), sa.Column("less", less, server_default="x"),
    sa.Column("several", postgresql.ARRAY(less), server_default="{x}"), sa.Column("more", more),
    sa.Column("many", postgresql.ARRAY(more)),
    sa.Column("becomes_another", sa.Enum("x", name="another"), server_default="x"),
    sa.Column("becomes_text", sa.Text), sa.Column("becomes_enum", less, server_default="x"),
    sa.CheckConstraint("less <> 'x' OR id > 0", name="c"), sa.CheckConstraint("more <> 'x' OR id > 0", name="d"),
)
sa.Index("i", t.c.id, postgresql_where=t.c.less == "x")
sa.Index("k", t.c.more, t.c.id, postgresql_where=t.c.more != "x")
        """,
    ),
}


@pytest.mark.parametrize("case", named(BESIDE_TABLES, here=["dropped tables"]))
def test_what_stands_beside_tables(project: Project, server: Postgres, case: str) -> None:
    """Types, sequences and whatever else a table needs are there in both directions, whatever comes or goes."""
    history, models = BESIDE_TABLES[case]
    project.revision(dedent(history).strip())
    give_models(project, models.strip())
    command.upgrade(project.config, "r1")
    assert lines_that_lead_there_and_back(project, server)
