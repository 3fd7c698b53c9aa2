"""What authors of revisions write, on the tables of BEFORE: each function is the body of an upgrade().

Most of them first queue something, so that what follows meets an open queue.
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.orm import Session

BEFORE = """
CREATE TABLE u (id integer PRIMARY KEY);
INSERT INTO u SELECT generate_series(1, 50);
CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, u integer);
INSERT INTO t SELECT n, n, 'b' || n, 1 + n % 50 FROM generate_series(1, 300) AS n;
CREATE SCHEMA other;
CREATE TABLE w (id integer, b varchar(10), CONSTRAINT short CHECK (b <> ''));
INSERT INTO w SELECT n, n FROM generate_series(1, 20) AS n;
CREATE MATERIALIZED VIEW m AS SELECT id FROM w;
CREATE TABLE parent (id integer PRIMARY KEY);
INSERT INTO parent VALUES (1);
CREATE TABLE child (id integer REFERENCES parent ON DELETE CASCADE);
INSERT INTO child VALUES (1);
CREATE TABLE other.t (id integer PRIMARY KEY, a integer, b text, u integer);
"""
ALLOWED = "-- holdfast: allow nobody uses the old name until 2999-12-31"
T = sa.table("t", sa.column("id", sa.Integer), sa.column("a", sa.Integer), sa.column("b", sa.Text))


def _queue_something() -> None:
    op.create_index("queued", "t", ["a"])


# Ways to send a statement.


def operations_and_raw_sql() -> None:
    op.create_index("i1", "t", ["a"])
    op.execute("CREATE INDEX i2 ON t (b)")
    op.get_bind().execute(sa.text("CREATE INDEX i3 ON t (a, b)"))
    op.get_bind().exec_driver_sql("CREATE INDEX i4 ON t (u)")


def bulk_insert_and_executemany() -> None:
    _queue_something()
    op.bulk_insert(T, [{"id": 1001, "b": "it's 100%"}, {"id": 1002, "b": ":x"}])
    op.bulk_insert(T, [{"id": 1003, "b": "x"}], multiinsert=False)
    insert = sa.text("INSERT INTO t (id, b) VALUES (:id, :b)")
    op.get_bind().execute(insert, [{"id": 1004, "b": "%s"}, {"id": 1005, "b": None}])


def percent_signs_and_colons() -> None:
    _queue_something()
    op.execute("UPDATE t SET b = '50%' WHERE id = 1")
    op.execute(sa.text("UPDATE t SET b = :b WHERE b LIKE '%b2%'").bindparams(b="%(x)s"))
    op.execute("COMMENT ON COLUMN t.b IS '100 %% of it'")


def required_column_of_an_emptied_table() -> None:
    op.execute("DELETE FROM t")
    op.execute("ALTER TABLE t ADD COLUMN c integer NOT NULL")


def required_column_of_a_table_emptied_by_a_cascade() -> None:
    op.execute("DELETE FROM parent")
    op.execute("ALTER TABLE child ADD COLUMN c integer NOT NULL")


def backfills_behind_index_builds() -> None:
    op.add_column("t", sa.Column("c", sa.Integer))
    op.create_index("t_c", "t", ["c"])
    op.create_index("t_a", "t", ["a"])
    op.execute("UPDATE t SET c = a + 1")
    op.execute("UPDATE t SET a = a + 1")
    op.create_index("t_b", "t", ["b"], unique=True)
    op.execute("UPDATE t SET c = c * 2")


def possible_only_after_what_is_queued() -> None:
    _queue_something()
    op.create_primary_key("w_key", "w", ["id"])
    op.execute("ALTER TABLE w ADD COLUMN filled float DEFAULT random() * 0 + 1")
    op.execute("ALTER TABLE w DROP CONSTRAINT short")
    op.execute("ALTER TABLE w ALTER COLUMN b TYPE varchar(20)")
    op.execute("ALTER TABLE w ADD COLUMN more int")
    op.execute("ALTER TABLE w ADD COLUMN IF NOT EXISTS more int NOT NULL")
    op.execute("CREATE UNIQUE INDEX m_id ON m (id)")
    op.execute("REFRESH MATERIALIZED VIEW m")


def several_statements_in_one_string() -> None:
    op.execute(
        "CREATE INDEX i1 ON t (a); UPDATE t SET b = 'x;y' WHERE id = 1; ALTER TABLE t ADD CHECK (a > 0)"
    )
    op.execute("ALTER TABLE t ADD COLUMN c int; -- nothing more")
    op.execute("-- only a comment")


def several_short_statements_in_one_string() -> None:
    op.execute(
        "ALTER TABLE t ADD COLUMN c int; ALTER TABLE t ALTER c SET DEFAULT 1; INSERT INTO u VALUES (77)"
    )


def orm_session() -> None:
    class Base(sa.orm.DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "t"
        id = sa.Column(sa.Integer, primary_key=True)
        b = sa.Column(sa.Text)

    _queue_something()
    session = Session(bind=op.get_bind())
    session.add(Row(id=7000, b="from the ORM"))
    session.flush()
    session.expire_all()
    assert session.get_one(Row, 7000).b == "from the ORM"
    session.commit()
    op.create_index("i2", "t", ["b"])


# Ways to leave the transaction, or to divide it.


def autocommit_block() -> None:
    op.create_index("i1", "t", ["a"])
    with op.get_context().autocommit_block():
        op.create_index("i2", "t", ["b"], postgresql_concurrently=True, if_not_exists=True)
        op.create_index("i3", "t", ["a", "b"])
    op.add_column("t", sa.Column("c", sa.Integer))
    op.create_index("i4", "t", ["c"])


def enum_value_in_autocommit_block() -> None:
    op.execute("CREATE TYPE mood AS ENUM ('good')")
    op.add_column("t", sa.Column("m", ENUM("good", name="mood", create_type=False)))
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'bad'")
    op.execute("UPDATE t SET m = 'bad' WHERE id = 1")


def second_connection_in_autocommit() -> None:
    op.create_index("i1", "u", ["id"])
    bind = op.get_bind()
    with bind.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as second:
        second.execute(sa.text("CREATE INDEX CONCURRENTLY i2 ON t (b)"))
        second.execute(sa.text("INSERT INTO other.t (id) VALUES (78)"))
        assert second.execute(sa.text("SELECT count(*) FROM other.t")).scalar() == 1
    op.create_index("i3", "t", ["u"])


def second_connection_in_a_transaction() -> None:
    op.create_index("i1", "u", ["id"])
    with op.get_bind().engine.begin() as second:
        second.execute(sa.text("CREATE TABLE beside (id int)"))
        second.execute(sa.text("INSERT INTO beside VALUES (1)"))
    op.execute("INSERT INTO beside VALUES (2)")


def savepoint_with_a_failing_statement() -> None:
    _queue_something()
    try:
        with op.get_bind().begin_nested():
            op.create_unique_constraint("t_u", "t", ["u"])
    except sa.exc.IntegrityError:
        op.create_index("fallback", "t", ["u"])
    op.add_column("t", sa.Column("c", sa.Integer))


def savepoint_in_sql() -> None:
    _queue_something()
    op.execute("SAVEPOINT s")
    op.add_column("t", sa.Column("c", sa.Integer))
    op.execute("ROLLBACK TO SAVEPOINT s")
    op.execute("RELEASE SAVEPOINT s")
    op.create_index("i2", "t", ["b"])


def rollback_before_anything_is_committed() -> None:
    op.create_index("i1", "t", ["a"])
    op.add_column("t", sa.Column("lost", sa.Integer))
    op.get_bind().exec_driver_sql("ROLLBACK")
    op.get_bind().exec_driver_sql("BEGIN")
    op.create_index("i2", "t", ["b"])


def rollback_behind_what_its_author_has_committed() -> None:
    with op.get_context().autocommit_block():
        op.create_index("i1", "t", ["a"])
        op.execute("INSERT INTO u VALUES (77)")
    op.create_table("lost", sa.Column("id", sa.Integer))
    op.create_index("lost_too", "t", ["b"])
    op.get_bind().exec_driver_sql("ROLLBACK")
    op.get_bind().exec_driver_sql("BEGIN")
    op.create_index("i2", "t", ["b"])


# Settings.


def set_local_search_path() -> None:
    op.execute("SET LOCAL search_path = other, public")
    op.create_index("i1", "t", ["a"])
    op.create_check_constraint("positive", "t", "a > 0")
    op.create_foreign_key("t_u", "t", "u", ["u"], ["id"])
    op.execute("SET LOCAL search_path = public")
    op.create_index("i2", "t", ["a"])


def search_path_by_function_then_reading() -> None:
    op.get_bind().execute(sa.text("SELECT set_config('search_path', 'other, public', true)"))
    op.create_index("i1", "t", ["a"])
    assert op.get_bind().execute(sa.text("SELECT count(*) FROM t")).scalar() == 0
    op.execute("INSERT INTO t (id) VALUES (1)")


def search_path_of_the_session() -> None:
    op.execute("SET search_path = other, public")
    op.create_index("i1", "t", ["a"])
    op.execute("RESET search_path")
    op.create_index("i2", "t", ["b"])


# Reading, writing.


def data_read_after_a_queued_statement() -> None:
    op.add_column("t", sa.Column("c", sa.Integer))
    op.create_index("i1", "t", ["c"])
    update = sa.text("UPDATE t SET c = :id * 2 WHERE id = :id")
    for id_ in op.get_bind().execute(sa.text("SELECT id FROM t WHERE id < 5")).scalars().all():
        op.get_bind().execute(update, {"id": id_})
    op.alter_column("t", "b", nullable=False)


def inspector_after_a_queued_statement() -> None:
    _queue_something()
    assert [index["name"] for index in sa.inspect(op.get_bind()).get_indexes("t")] == ["queued"]
    op.create_index("i2", "t", ["b"])


def result_of_a_write_after_a_queued_statement() -> None:
    _queue_something()
    bind = op.get_bind()
    insert = sa.text("INSERT INTO t (id, a) VALUES (5000, 1) RETURNING id")
    assert bind.execute(insert).scalar_one() == 5000
    assert bind.execute(sa.text("UPDATE t SET a = a + 1 WHERE id > 290")).rowcount == 11
    op.create_index("i2", "t", ["b"])


def writes_before_under_and_after_ddl() -> None:
    op.execute("UPDATE t SET b = 'x' WHERE id < 10")
    op.add_column("t", sa.Column("c", sa.Integer))
    op.execute("UPDATE t SET c = a WHERE id < 100")
    op.alter_column("t", "c", server_default="0")
    op.execute("UPDATE t SET c = 0 WHERE c IS NULL")
    op.alter_column("t", "c", nullable=False)


def server_side_cursor() -> None:
    _queue_something()
    bind = op.get_bind()
    query = sa.text("SELECT id FROM t ORDER BY id").execution_options(stream_results=True)
    rows = bind.execute(query)
    assert [row.id for row in rows.fetchmany(2)] == [1, 2]
    rows.close()
    op.add_column("t", sa.Column("c", sa.Integer))


def do_block() -> None:
    _queue_something()
    op.execute(
        "DO $$BEGIN UPDATE t SET b = 'd' WHERE id = 1; ALTER TABLE t ADD COLUMN c int; END$$"
    )
    op.create_index("i2", "t", ["c"])


def lock_table() -> None:
    _queue_something()
    op.execute("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")
    op.execute("UPDATE t SET a = a + 1 WHERE id = (SELECT max(id) FROM t)")
    op.add_column("t", sa.Column("c", sa.Integer))


# Objects.


def batch_plain() -> None:
    _queue_something()
    with op.batch_alter_table("t") as batch:
        batch.add_column(sa.Column("c", sa.Integer, server_default="7"))
        batch.create_unique_constraint("t_b", ["b"])
        batch.alter_column("b", nullable=False)
        batch.drop_column("a")


def batch_recreating() -> None:
    _queue_something()
    with op.batch_alter_table("t", recreate="always") as batch:
        batch.add_column(sa.Column("c", sa.Integer, server_default="7"))


def enum_created_checked_first() -> None:
    _queue_something()
    mood = ENUM("good", "bad", name="mood", create_type=False)
    mood.create(op.get_bind(), checkfirst=True)
    mood.create(op.get_bind(), checkfirst=True)
    op.add_column("t", sa.Column("m", mood, nullable=False, server_default="good"))


def temporary_table() -> None:
    _queue_something()
    op.execute("CREATE TEMP TABLE kept AS SELECT id FROM t WHERE id < 4")
    op.execute("UPDATE t SET b = 'kept' FROM kept WHERE kept.id = t.id")
    op.execute("DROP TABLE kept")


def temporary_table_of_the_transaction() -> None:
    _queue_something()
    op.execute("CREATE TEMP TABLE kept (id int) ON COMMIT DROP")
    op.execute("INSERT INTO kept SELECT id FROM t WHERE id < 4")
    op.execute("UPDATE t SET b = 'kept' FROM kept WHERE kept.id = t.id")
    op.add_column("t", sa.Column("c", sa.Integer))


def trigger_and_function() -> None:
    _queue_something()
    op.execute(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN NEW.b := 'stamped'; RETURN NEW; END$$"
    )
    op.execute("CREATE TRIGGER s BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp()")
    op.execute("UPDATE t SET a = a WHERE id = 5")


def everything_new() -> None:
    _queue_something()
    new = op.create_table(
        "n",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("t", sa.Integer, sa.ForeignKey("t.id")),
        sa.Column("kind", sa.Enum("a", "b", name="kind")),
    )
    op.bulk_insert(new, [{"id": 1, "t": 1, "kind": "a"}, {"id": 2, "t": 2, "kind": None}])
    op.create_index("n_kind", "n", ["kind"])
    op.create_foreign_key("n_self", "n", "n", ["id"], ["id"])


def rename_then_use_the_new_name() -> None:
    _queue_something()
    op.execute(f"ALTER TABLE t RENAME TO renamed {ALLOWED}")
    op.create_index("i2", "renamed", ["b"])
    op.execute(f"ALTER TABLE renamed RENAME b TO c {ALLOWED}")
    op.create_unique_constraint("c_is_unique", "renamed", ["c"])


def names_quoted_long_and_chosen() -> None:
    long = "A long name of a table that has nearly sixty-three of them"
    op.execute('ALTER TABLE t ADD COLUMN "Mixed Case" int')
    op.create_unique_constraint('Unique "quoted"', "t", ["Mixed Case"])
    op.execute(f'CREATE TABLE "{long}" (id int, "A long name of a column" int)')
    unique = 'ADD UNIQUE ("A long name of a column")'
    op.execute(f'ALTER TABLE "{long}" {unique}, {unique}')
    op.execute("ALTER TABLE t ADD UNIQUE (b)")
    op.execute("ALTER TABLE t ADD UNIQUE (b)")
    op.execute("CREATE INDEX ON t (b)")


AUTHORS: tuple[Callable[[], None], ...] = (
    operations_and_raw_sql,
    bulk_insert_and_executemany,
    percent_signs_and_colons,
    required_column_of_an_emptied_table,
    required_column_of_a_table_emptied_by_a_cascade,
    possible_only_after_what_is_queued,
    several_statements_in_one_string,
    several_short_statements_in_one_string,
    orm_session,
    autocommit_block,
    enum_value_in_autocommit_block,
    second_connection_in_autocommit,
    second_connection_in_a_transaction,
    savepoint_with_a_failing_statement,
    savepoint_in_sql,
    rollback_before_anything_is_committed,
    rollback_behind_what_its_author_has_committed,
    set_local_search_path,
    search_path_by_function_then_reading,
    search_path_of_the_session,
    data_read_after_a_queued_statement,
    inspector_after_a_queued_statement,
    result_of_a_write_after_a_queued_statement,
    writes_before_under_and_after_ddl,
    server_side_cursor,
    do_block,
    lock_table,
    batch_plain,
    batch_recreating,
    enum_created_checked_first,
    temporary_table,
    temporary_table_of_the_transaction,
    trigger_and_function,
    everything_new,
    rename_then_use_the_new_name,
    names_quoted_long_and_chosen,
)
