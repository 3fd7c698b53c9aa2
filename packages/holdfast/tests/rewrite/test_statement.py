"""SQL text becomes statements."""

from datetime import date

import pytest

from holdfast.errors.statement import UnparsableStatement
from holdfast.rewrite.statement import (
    Exemption,
    StatementKind,
    after_comments,
    exemption_in,
    on_one_line,
    parse,
)

KINDS = [
    ("create table t (a int)", StatementKind.DDL),
    ("create index on t (a)", StatementKind.DDL),
    ("select a into u from t", StatementKind.DDL),
    ("create table u as select 1", StatementKind.DDL),
    ("vacuum t", StatementKind.DDL),
    ("comment on table t is 'x'", StatementKind.DDL),
    ("truncate t", StatementKind.DDL),
    ("select a from t", StatementKind.READ),
    ("with x as (select 1) select * from x, t", StatementKind.READ),
    ("explain select a from t", StatementKind.READ),
    ("copy t to stdout", StatementKind.READ),
    ("select 1 from pg_class, pg_catalog.pg_type", StatementKind.CATALOG_READ),
    ("select 1 from information_schema.tables", StatementKind.CATALOG_READ),
    ("with x as (select 1 from pg_type) select * from x", StatementKind.CATALOG_READ),
    ("select to_regclass('t')", StatementKind.CATALOG_READ),
    ("select 't'::regclass", StatementKind.CATALOG_READ),
    ("select has_table_privilege('t', 'select')", StatementKind.CATALOG_READ),
    ("select 1", StatementKind.HARMLESS),
    ("select pg_catalog.version()", StatementKind.HARMLESS),
    ("select app.version()", StatementKind.WRITE_WITH_RESULT),
    ("select app.has_rows()", StatementKind.WRITE_WITH_RESULT),
    ("select current_user, now(), current_setting('x')", StatementKind.HARMLESS),
    ("show search_path", StatementKind.HARMLESS),
    ("with x as (select 1) select * from x", StatementKind.HARMLESS),
    ("insert into t values (1)", StatementKind.WRITE),
    ("update t set a = (select 1 from u)", StatementKind.WRITE),
    ("delete from t", StatementKind.WRITE),
    ("merge into t using u on t.a = u.a when matched then delete", StatementKind.WRITE),
    ("copy t from stdin", StatementKind.WRITE),
    ("call p()", StatementKind.WRITE),
    ("do $$ begin end $$", StatementKind.WRITE),
    ("insert into t values (1) returning a", StatementKind.WRITE_WITH_RESULT),
    ("with x as (delete from t returning *) select * from x", StatementKind.WRITE_WITH_RESULT),
    ("select setval('s', 5)", StatementKind.WRITE_WITH_RESULT),
    ("select setval('s', max(a)) from t", StatementKind.WRITE_WITH_RESULT),
    ("select create_hypertable('t', 'a')", StatementKind.WRITE_WITH_RESULT),
    ("explain analyze delete from t", StatementKind.WRITE_WITH_RESULT),
    ("execute p", StatementKind.WRITE_WITH_RESULT),
    ("set search_path = x", StatementKind.SET),
    ("reset search_path", StatementKind.SET),
    ("select set_config('search_path', 'x', false)", StatementKind.SET),
    ("set local search_path = x", StatementKind.SET_LOCAL),
    ("set transaction isolation level serializable", StatementKind.SET_LOCAL),
    ("select set_config('search_path', 'x', true)", StatementKind.SET_LOCAL),
    ("begin", StatementKind.TRANSACTION_CONTROL),
    ("savepoint a", StatementKind.TRANSACTION_CONTROL),
    ("rollback to a", StatementKind.TRANSACTION_CONTROL),
    ("lock table t", StatementKind.NEVER_SPLIT),
    ("set constraints all deferred", StatementKind.NEVER_SPLIT),
    ("declare c cursor for select 1", StatementKind.NEVER_SPLIT),
    ("fetch c", StatementKind.NEVER_SPLIT),
    ("select a from t for update", StatementKind.NEVER_SPLIT),
    ("create temp table t (a int) on commit drop", StatementKind.NEVER_SPLIT),
    ("create temp table t on commit drop as select 1", StatementKind.NEVER_SPLIT),
    ("create temp table t (a int)", StatementKind.TEMP),
    ("create table pg_temp.t (a int)", StatementKind.TEMP),
    ("select a into temp u from t", StatementKind.TEMP),
]


@pytest.mark.parametrize(("sql", "kind"), KINDS, ids=[sql for sql, _ in KINDS])
def test_kind(sql: str, kind: StatementKind) -> None:
    """Every statement is of the kind that decides how a revision goes on."""
    (statement,) = parse(sql)
    assert statement.kind is kind


def test_several_statements_are_cut_apart_by_bytes() -> None:
    """The parser counts bytes: text before a statement may be of any alphabet."""
    statements = parse("select 'größe' ; -- ünd\n select 'ä;b';;select 3")
    assert [statement.sql for statement in statements] == [
        "select 'größe'",
        "select 'ä;b'",
        "select 3",
    ]


@pytest.mark.parametrize("sql", ["", " ; ", "-- nothing\n/* at all */"])
def test_no_statement(sql: str) -> None:
    """A text of comments holds no statement."""
    assert parse(sql) == ()


def test_unparsable() -> None:
    """The parser's own words and the place, in characters."""
    with pytest.raises(UnparsableStatement) as raised:
        parse("select 'ä' form t; selec 1")
    assert (raised.value.message, raised.value.position) == ('syntax error at or near "t"', 17)


def test_excuse_stands_above_inside_or_behind() -> None:
    """A comment belongs to the statement that it stands above, inside or behind."""
    exemption = "-- holdfast: allow {} until 2027-01-31"
    statements = parse(
        f"{exemption.format('above')}\nselect 1;\n"
        f"select {exemption.format('inside')}\n2;\n"
        f"select 3; {exemption.format('behind')}\n"
        "select 4; /* holdfast: allow a block until 2027-01-31 */ select 5;\n"
        f"{exemption.format('below the last')}"
    )
    until = date(2027, 1, 31)
    assert [statement.exemption for statement in statements] == [
        Exemption(reason="above", until=until),
        Exemption(reason="inside", until=until),
        Exemption(reason="behind", until=until),
        Exemption(reason="a block", until=until),
        Exemption(reason="below the last", until=until),
    ]


def test_excuse_ends() -> None:
    """The day that is named is the last one."""
    exemption = exemption_in("op.execute(SQL)  # holdfast: allow a quiet table until 2026-12-24")
    assert exemption == Exemption(reason="a quiet table", until=date(2026, 12, 24))
    assert [exemption.holds(today=date(2026, 12, day)) for day in (24, 25)] == [True, False]


def test_a_day_that_is_none() -> None:
    """It allows nothing."""
    assert exemption_in("-- holdfast: allow x until 2026-02-30") is None


def test_text_that_only_looks_like_an_excuse() -> None:
    """Words in a literal allow nothing."""
    (statement,) = parse("select '-- holdfast: allow x until 2027-01-31'")
    assert statement.exemption is None


def test_whole_table_write() -> None:
    """UPDATE and DELETE name the table they write to, INSERT touches no row that was there."""
    tables = [
        parse(sql)[0].whole_table_write
        for sql in ("update t set a = 1 where b", "delete from s.u", "insert into t values (1)")
    ]
    assert [table and table.relname for table in tables] == ["t", "u", None]


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("CREATE INDEX i ON a (b) ", "CREATE INDEX i ON a (b)"),
        ("SELECT 1 -- why\n;\nSELECT 'a\nb'", "SELECT 1; SELECT 'a\nb'"),
        ("no\nSQL", "no\nSQL"),
    ],
)
def test_on_one_line(sql: str, line: str) -> None:
    """Whatever its author has put around it; the texts in it stay."""
    assert on_one_line(sql) == line


@pytest.mark.parametrize(
    ("sql", "rest"),
    [
        ("SELECT 1", "SELECT 1"),
        ("  -- é\n /* a /* nested */ one */ DO $$ x $$", "DO $$ x $$"),
        ("/* why */ SELECT %(a)s", "SELECT %(a)s"),
        ("-- nothing else", ""),
        ("/* not closed", "/* not closed"),
    ],
)
def test_after_comments(sql: str, rest: str) -> None:
    """Whatever comments come first, nested ones too, the text begins at its first word."""
    assert after_comments(sql) == rest
