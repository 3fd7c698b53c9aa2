"""Draws models as anybody may write them, with Hypothesis: two versions of the same few tables."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql as pg

TABLES = ("a", "order", "User", "a_table_with_a_name_that_is_about_as_long_as_a_name_may_be")
SCHEMAS = (None, None, None, "s", "Other")
CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
COLORS = ("red", "it's", "50%", "a:b")

NUMBERS = {"name": "numbers", "start": 7}
OTHER = {"name": "Other numbers", "schema": "s"}


class Decorated(sa.types.TypeDecorator[str]):
    """An application's own type, of an enum type."""

    impl = sa.Enum("x", "y", name="decorated")
    cache_ok = True


# For each column: types that PostgreSQL can make of each other, and defaults that each of them takes.
COLUMNS: dict[str, tuple[list[Any], list[Any]]] = {
    "number": (
        [
            sa.SmallInteger(),
            sa.Integer(),
            sa.BigInteger(),
            sa.Numeric(),
            sa.Numeric(9, 2),
            sa.Float(),
        ],
        [None, "0", sa.text("1 + 1")],
    ),
    "Real": ([sa.REAL(), sa.Float(24), sa.Double()], [None, "1.5"]),
    "text": (
        [
            sa.Text(),
            sa.String(),
            sa.String(40),
            sa.String(60),
            sa.Unicode(50),
            sa.Text(collation="C"),
            sa.Enum(*COLORS, name="color", native_enum=False),
            sa.Enum(*COLORS, name="color", native_enum=False, create_constraint=True, length=30),
            sa.Enum(*COLORS[:2], name="color", native_enum=False, create_constraint=True),
        ],
        [None, "red", sa.text("lower('RED')")],
    ),
    "group": ([sa.String(20), sa.Text(), sa.String()], [None, "50%", "a:b", "it's"]),
    "kind": (
        [
            sa.Enum("x", "y", name="kind"),
            sa.Enum("x", "y", "z", name="kind"),
            sa.Enum("y", "x", name="Other Kind"),
            sa.Enum("x", "w", name="kind", schema="Other"),
            sa.String(9),
        ],
        [None, "x"],
    ),
    "kinds": (
        [
            pg.ARRAY(sa.Enum("x", "y", name="kind")),
            pg.ARRAY(sa.Enum("x", "y", "z", name="kind")),
            pg.ARRAY(sa.Enum("x", name="kinds of s", schema="s")),
        ],
        [None, "{}", "{x}"],
    ),
    "decorated": ([Decorated()], [None, "x"]),
    "domain": (
        [
            pg.DOMAIN("d", sa.Integer, check=sa.text("VALUE > 0"), not_null=True),
            pg.DOMAIN("D 2", sa.Integer, schema="s"),
        ],
        [None, "7"],
    ),
    "counted": ([sa.BigInteger(), sa.Integer()], [None, NUMBERS, OTHER]),
    "at": (
        [sa.DateTime(), sa.DateTime(timezone=True), sa.Date(), pg.TIMESTAMP(precision=3)],
        [None, sa.func.now(), sa.text("'2026-01-01'")],
    ),
    "flag": ([sa.Boolean()], [None, sa.true(), "f"]),
    "key": ([sa.Uuid(), sa.String(36), sa.Text()], [None]),
    "uuid": ([sa.Uuid()], [None, sa.text("gen_random_uuid()")]),
    "document": ([pg.JSONB(), sa.JSON()], [None, "{}", sa.text("'[1]'")]),
    "many": ([pg.ARRAY(sa.Integer), pg.ARRAY(sa.String(5))], [None, "{}"]),
    "span": ([pg.INT4RANGE()], [None]),
    "words": ([pg.TSVECTOR()], [None]),
    "for": ([sa.Interval(), pg.INTERVAL(precision=2)], [None, "1 day"]),
    "address": ([pg.INET(), pg.CIDR()], [None]),
    "raw": ([sa.LargeBinary()], [None]),
}
CHECKS = (
    ("text", "text IN ('red', 'it''s')"),
    ("text", "length(text) > 0 AND text NOT LIKE 'a:b%'"),
    ("text", "text ~ '^[a-z]+$' OR text = ANY (ARRAY['x', 'y'])"),
    ("group", "\"group\" IN ('a', 'b', 'c')"),
    ("group", "\"group\" NOT IN ('d')"),
    ("group", "coalesce(\"group\", 'x') <> ''"),
    ("number", "number BETWEEN 1 AND 1000"),
    ("number", "number IN (1, 2, 3)"),
    ("number", "number > 0"),
    ("at", "at > '2000-01-01'"),
    ("many", "cardinality(many) < 5"),
    ("kind", "kind <> 'x' OR kind IS NULL"),
)
# The columns of an index, and its options.
INDEXES: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("number",), {}),
    (("text", "number"), {"unique": True}),
    (("text",), {"postgresql_where": sa.text("text IN ('red', 'blue')")}),
    (("group",), {"postgresql_where": sa.text("\"group\" <> 'a:b'")}),
    (("document",), {"postgresql_using": "gin"}),
    (("words",), {"postgresql_using": "gin"}),
    (("number",), {"postgresql_include": ["text"]}),
    (("group",), {"postgresql_ops": {"group": "text_pattern_ops"}}),
    (("at",), {"postgresql_using": "brin", "postgresql_with": {"pages_per_range": 8}}),
    (("kind",), {"postgresql_where": sa.text("kind = 'x'")}),
    (("flag",), {"unique": True, "postgresql_nulls_not_distinct": True}),
)
EXPRESSIONS = (
    ("text", lambda column: sa.func.lower(column)),
    ("number", lambda column: column.desc()),
    ("number", lambda column: sa.func.coalesce(column, 0)),
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is drawn of one table, as arguments of SQLAlchemy's constructors."""

    name: str
    schema: str | None
    columns: dict[str, dict[str, Any]]
    checks: frozenset[int]
    indexes: frozenset[int]
    expressions: frozenset[int]
    uniques: frozenset[tuple[str, ...]]
    parent: str | None
    on_delete: str | None
    computed: str | None
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Drafts:
    """What is drawn of all tables."""

    tables: tuple[Draft, ...]
    has_convention: bool
    default_schema: str | None = field(default=None)

    def metadata(self) -> sa.MetaData:
        """The models."""
        metadata = sa.MetaData(naming_convention=CONVENTION if self.has_convention else None)
        known: dict[str, Draft] = {}  # no foreign key in a circle: Alembic cannot sort such tables
        for draft in self.tables:
            known[draft.name] = draft
            _add_sequences(metadata, draft)
            _table(metadata, draft, known)
        return metadata


def _add_sequences(metadata: sa.MetaData, draft: Draft) -> None:
    """Whoever counts by a sequence has it among the models."""
    for options in draft.columns.values():
        if isinstance(options["options"]["server_default"], dict):
            sa.Sequence(**options["options"]["server_default"], metadata=metadata)


def _table(metadata: sa.MetaData, draft: Draft, known: dict[str, Draft]) -> None:
    table = sa.Table(
        draft.name,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *(_column(name, options) for name, options in draft.columns.items()),
        schema=draft.schema,
        comment=draft.comment,
    )
    if draft.computed and "number" in draft.columns:
        computed = sa.Computed(draft.computed, persisted=True)
        table.append_column(sa.Column("twice", sa.BigInteger, computed))
    _add_constraints(table, draft)
    _add_indexes(table, draft)
    if draft.parent in known:
        parts = (known[draft.parent].schema, draft.parent, "id")
        parent = sa.ForeignKey(".".join(filter(None, parts)), ondelete=draft.on_delete)
        table.append_column(sa.Column("parent_id", sa.Integer, parent))


def _add_constraints(table: sa.Table, draft: Draft) -> None:
    for number in sorted(draft.checks):
        column, condition = CHECKS[number]
        if column in draft.columns:
            table.append_constraint(sa.CheckConstraint(condition, name=f"check_{number}"))
    for names in sorted(draft.uniques):
        if set(names) <= set(draft.columns):
            table.append_constraint(sa.UniqueConstraint(*names, name="_".join(("unique", *names))))


def _add_indexes(table: sa.Table, draft: Draft) -> None:
    for number in sorted(draft.indexes):
        names, options = INDEXES[number]
        needed = {*names, *options.get("postgresql_include", ())}
        if needed <= set(draft.columns) and _is_indexable(draft, names):
            sa.Index(
                f"index_{number}_of_{draft.name}"[:63],  # SQLAlchemy itself refuses a longer one
                *(table.c[n] for n in names),
                **options,
            )
    for number in sorted(draft.expressions):
        column, expression = EXPRESSIONS[number]
        if column in draft.columns:
            sa.Index(f"expression_{number}_of_{draft.name}", expression(table.c[column]))


def _is_indexable(draft: Draft, names: tuple[str, ...]) -> bool:
    types = [draft.columns[name]["type"] for name in names]
    return all(not isinstance(each, sa.JSON) or isinstance(each, pg.JSONB) for each in types)


def _column(name: str, options: dict[str, Any]) -> sa.Column[Any]:
    type_, given = options["type"], options["options"]
    if isinstance(given["server_default"], dict):
        given = given | {"server_default": sa.Sequence(**given["server_default"]).next_value()}
    column: sa.Column[Any] = sa.Column(
        name, type_.copy() if hasattr(type_, "copy") else type_, **given
    )
    return column


@st.composite
def _columns(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), unique=True, max_size=5))
    return {name: draw(_options(name)) for name in names}


@st.composite
def _options(draw: st.DrawFn, name: str) -> dict[str, Any]:
    types, defaults = COLUMNS[name]
    has_order = name not in ("document", "many", "span", "words", "kinds")
    options = {
        "nullable": draw(st.booleans()),
        "server_default": draw(st.sampled_from(defaults)),
        "comment": draw(st.sampled_from((None, None, "it's 50% of a:b"))),
    }
    if has_order:
        options["index"] = draw(st.sampled_from((None, None, True)))
        options["unique"] = draw(st.sampled_from((None, None, True)))
    return {"type": draw(st.sampled_from(types)), "options": options}


@st.composite
def _drafts(draw: st.DrawFn, name: str) -> Draft:
    return Draft(
        name=name,
        schema=draw(st.sampled_from(SCHEMAS)),
        columns=draw(_columns()),
        checks=draw(st.frozensets(st.sampled_from(range(len(CHECKS))), max_size=4)),
        indexes=draw(st.frozensets(st.sampled_from(range(len(INDEXES))), max_size=4)),
        expressions=draw(st.frozensets(st.sampled_from(range(len(EXPRESSIONS))), max_size=1)),
        uniques=draw(
            st.frozensets(st.sampled_from((("text",), ("number", "text"), ("at",))), max_size=2)
        ),
        parent=draw(st.sampled_from((None, *TABLES))),
        on_delete=draw(st.sampled_from((None, "CASCADE", "SET NULL"))),
        computed=draw(st.sampled_from((None, None, "number * 2"))),
        comment=draw(st.sampled_from((None, "a table"))),
    )


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[Drafts, Drafts]:
    """The same tables before and after a change; the schema of a table stays, a part of them may stay as it is."""
    has_convention = draw(st.booleans())
    names = draw(st.lists(st.sampled_from(TABLES), unique=True, min_size=1, max_size=2))
    before, after = [], []
    for name in names:
        first = draw(_drafts(name))
        second = draw(st.one_of(st.just(first), _drafts(name)))
        before.append(first)
        kept = {
            column: draw(st.sampled_from((first.columns[column], options)))
            if column in first.columns
            else options
            for column, options in second.columns.items()
        }
        after.append(Draft(**{**vars(second), "schema": first.schema, "columns": kept}))
    if draw(st.booleans()):
        after = after[:1]
    return (
        Drafts(tables=tuple(before), has_convention=has_convention),
        Drafts(tables=tuple(after), has_convention=has_convention),
    )
