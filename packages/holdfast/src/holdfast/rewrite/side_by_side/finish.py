"""The second half of a change, once only one release is left: how each thing that waits ends."""

from datetime import date

from holdfast.rewrite.facts import Facts, Relation, RelationKind
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.online import as_written, rewrite
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import BatchStep, LookStep, Step
from holdfast.rewrite.waiting import RENAMES, Waiting


def finish_steps(
    waiting: Waiting, statement: Statement, *, facts: Facts, today: date
) -> tuple[Step, ...]:
    """Give the steps; none if it is gone already. `facts` are those of the author's statement."""
    if waiting.what == "table name" and is_gone(waiting, facts=facts):
        return ()
    if waiting.what == "column name" and is_gone(waiting, facts=facts):
        return (_cleared(waiting),)
    if waiting.what in RENAMES:
        return _renamed(waiting)
    if is_gone(waiting, facts=facts):
        return ()
    if waiting.what == "value":  # refused as long as a release names it
        return (as_written(statement, facts=facts),)
    return rewrite(statement, facts=facts, today=today)


def is_gone(waiting: Waiting, *, facts: Facts) -> bool:
    """Whether somebody has dropped it meanwhile: plain Alembic, or a person."""
    if waiting.relation is None:
        return False
    table = _table(waiting, facts)
    match waiting.what:
        case "table name":
            old = QualifiedName(schema=waiting.relation.schema, name=waiting.name)
            view = next((found for found in facts.relations.values() if found.name == old), None)
            return view is None or view.kind is not RelationKind.VIEW
        case "table" | "column name":
            return table is None
        case "column" | "default":
            return table is None or table.column(waiting.name) is None
        case "unique key":
            if table is None:
                return True
            indexes = {index.name.name for index in table.indexes}
            return table.constraint(waiting.name) is None and waiting.name not in indexes
        case _:
            return False


def missing_name(waiting: Waiting, *, facts: Facts) -> str | None:
    """Give the one of a column's two names that somebody has removed."""
    table = _table(waiting, facts)
    if waiting.what != "column name" or table is None:
        return None
    names = (waiting.name, waiting.new_name)
    return next((name for name in names if table.column(name) is None), None)


def _table(waiting: Waiting, facts: Facts) -> Relation | None:
    relations = facts.relations.values()
    return next((found for found in relations if found.name == waiting.relation), None)


def _cleared(waiting: Waiting) -> BatchStep:
    """Drop the trigger functions of a table that is gone, and its triggers with it."""
    return BatchStep(what=f"clear away what kept {waiting}", sql=clearing(waiting), locks=())


def clearing(waiting: Waiting) -> tuple[str, ...]:
    """Write the SQL that drops the functions, the triggers that call them, and the counter."""
    functions = [
        each.removeprefix("DROP FUNCTION ")
        for each in waiting.finish
        if each.startswith("DROP FUNCTION ")
    ]
    return (
        *(f"DROP FUNCTION IF EXISTS {each} CASCADE" for each in functions),
        *(each for each in waiting.finish if each.startswith("DROP SEQUENCE ")),
    )


def take_back_steps(waiting: Waiting) -> tuple[Step, ...] | None:
    """Undo a rename without its revision; None for anything else, which a revision takes back."""
    return (_moment(waiting, waiting.back),) if waiting.what in RENAMES else None


def _renamed(waiting: Waiting) -> tuple[Step, ...]:
    look: tuple[Step, ...] = ()
    if waiting.what == "column name":
        assert waiting.relation is not None  # noqa: S101  # the table of the column
        a, b = quote(waiting.name), quote(waiting.new_name)
        rows = (
            f"SELECT ctid FROM ONLY {waiting.relation}"
            f" WHERE NOT pg_catalog.record_image_eq(ROW({a}), ROW({b}))"
        )
        differing = f"in which {waiting.name} and {waiting.new_name} differ"
        look = (
            LookStep(
                table=waiting.relation,
                what=f"rows {differing}",
                one=f"row {differing}",
                quick=f"{rows} LIMIT 1",
                rows=rows,
                settings=(("row_security", "off"),),
                scans=(waiting.relation,),
            ),
        )
    return (*look, _moment(waiting, waiting.finish))


def _moment(waiting: Waiting, statements: tuple[str, ...]) -> BatchStep:
    relation = waiting.relation
    assert relation is not None  # noqa: S101  # a rename is one of a table
    if waiting.what == "table name":
        relation = QualifiedName(schema=relation.schema, name=waiting.name)
    return BatchStep(
        what=f"drop {waiting}",
        sql=statements,
        locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=relation),),
    )
