"""Statements of an application that rely on the columns of a table, as pg_stat_statements records them."""

import pytest
from alembic_project import Project

from holdfast.cli.plan import as_text
from holdfast.migrate.run import upgrade
from holdfast.preview.forecast import forecast
from holdfast.preview.who_may_notice import relies_on_columns


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("INSERT INTO t VALUES ($1, $2)", "INSERT without a list of columns"),
        ("INSERT INTO public.t SELECT $1, $2", "INSERT without a list of columns"),
        ("WITH x AS (INSERT INTO t VALUES ($1)) SELECT $2", "INSERT without a list of columns"),
        ("COPY t FROM STDIN", "COPY without a list of columns"),
        ("SELECT * FROM t WHERE id = $1", "SELECT *"),
        ("SELECT t.*, u.id FROM t, u", "SELECT *"),
        ("INSERT INTO t (a, b) VALUES ($1, $2)", None),
        ("COPY t (a) FROM STDIN", None),
        ("COPY t TO STDOUT", None),
        ("SELECT a FROM t", None),
        ("SELECT count(*) FROM t", None),
        ("SELECT * FROM u", None),
        ("SELECT * FROM t WHERE a IN ($1, $2, ...", None),
    ],
)
def test_what_relies_on_columns(query: str, how: str | None) -> None:
    """Whatever its form: without a list of columns it relies on their number and order."""
    assert relies_on_columns(query, table="t") == how


@pytest.mark.everywhere
def test_values_in_the_way(project: Project) -> None:
    """Whatever the conversion: values that the new type refuses are found by the plan, with what finds them all."""
    project.revision("op.execute('CREATE TABLE t (id serial PRIMARY KEY, a text, b text)')")
    upgrade(project.config, "head")
    project.query("INSERT INTO t (a, b) VALUES ('1', 'short'), ('two', repeat('x', 30))")
    project.revision(
        "op.alter_column('t', 'a', type_=sa.Integer, postgresql_using='a::integer')\n"
        "op.alter_column('t', 'b', type_=sa.String(20))"
    )
    found = forecast(project.config)
    assert found.is_refused
    said = "\n".join(as_text(found))
    assert 'type integer for a: invalid input syntax for type integer: "two" (at least 1)' in said
    assert "for b: value too long for type character varying(20) (at least 1)" in said


@pytest.mark.usefixtures("scratch")
def test_said_before(project: Project) -> None:
    """The plan of a type change says what differs afterwards and who may notice."""
    project.revision(
        "op.execute('CREATE TABLE t (id serial PRIMARY KEY, a text)')\n"
        "op.execute('CREATE FUNCTION f() RETURNS SETOF t LANGUAGE sql AS $$SELECT * FROM t$$')\n"
        "op.execute('CREATE TABLE u (t_id int REFERENCES t, other_id int REFERENCES t)')"
    )
    upgrade(project.config, "head")
    project.revision(
        "op.alter_column('t', 'id', type_=sa.BigInteger)\n"
        "op.alter_column('u', 'other_id', type_=sa.BigInteger)"
    )
    env = project.folder / "env.py"
    given = env.read_text().replace(
        "context.configure(", "context.configure(target_metadata=models, "
    )
    models = "import sqlalchemy as sa\nmodels = sa.MetaData()\nsa.Table('t', models, sa.Column('id', sa.Integer))\n"
    env.write_text(models + given)
    text = "\n".join(as_text(forecast(project.config)))
    for expected in (
        "note: id stands last in public.t afterwards",
        (
            "note: public.t_id_seq stays integer, as plain Alembic leaves it; to give it the new limit:"
            " ALTER SEQUENCE public.t_id_seq AS bigint"
        ),
        "note: needs free disk for public.t once more",
        "note: the function f() has whole rows of public.t: look at it",
        "can get 23505",
        "the models say INTEGER of public.t.id, which becomes bigint: say BigInteger there",
        "public.u.t_id stays integer and refers to id, which becomes bigint: change its type, too",
    ):
        assert expected in text
    assert "public.u.other_id stays" not in text
