"""Decides whether an expression gives a row the same value in one of many batches as in one statement.

Not so where it calls what may look at other rows, or at the transaction itself. The time is the exception: all batches
get that of one moment, as now() is one moment for a whole transaction.
https://www.postgresql.org/docs/current/xfunc-volatility.html
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.index_build import column_name
from holdfast.rewrite.statement import function_names
from holdfast.rewrite.tree import copy, find, parsed_expression, strings

Written = TypeVar("Written", bound=Message)
OF_TRANSACTION = frozenset(["now", "transaction_timestamp"])
NOW = OF_TRANSACTION | {"statement_timestamp"}  # of all batches, which are one statement
# Functions that give each row another value, independent of transaction and other rows.
ROW_BY_ROW = frozenset(
    [
        "clock_timestamp",
        "gen_random_uuid",
        "nextval",
        "random",
        "random_normal",
        "uuidv4",
        "uuidv7",
    ]
)
# Functions of pg_catalog that are stable within one statement, but differ in the next transaction.
OF_THE_TRANSACTION = (
    "age",
    "currval",
    "cursor_to_",
    "database_to_",
    "lastval",
    "pg_current_",
    "pg_snapshot_",
    "pg_stat",
    "pg_visible_",
    "query_to_",
    "schema_to_",
    "table_to_",
    "ts_stat",
    "txid_",
)
SYSTEM_COLUMNS = frozenset(["cmax", "cmin", "ctid", "xmax", "xmin"])
MOMENTS = frozenset(["now", "today", "tomorrow", "yesterday"])  # as constants: 'now'::timestamptz

# CURRENT_TIMESTAMP and its kin, by the type that each has.
TYPE_OF: dict[int, str] = {
    pb.SVFOP_CURRENT_DATE: "date",
    pb.SVFOP_CURRENT_TIME: "timetz",
    pb.SVFOP_CURRENT_TIME_N: "timetz",
    pb.SVFOP_CURRENT_TIMESTAMP: "timestamptz",
    pb.SVFOP_CURRENT_TIMESTAMP_N: "timestamptz",
    pb.SVFOP_LOCALTIME: "time",
    pb.SVFOP_LOCALTIME_N: "time",
    pb.SVFOP_LOCALTIMESTAMP: "timestamp",
    pb.SVFOP_LOCALTIMESTAMP_N: "timestamp",
}


def is_same_in_batches(
    node: pb.UpdateStmt | pb.DeleteStmt, *, table: Relation, facts: Facts
) -> bool:
    """Whether no function, operator, cast, default or CHECK of the write can tell one batch from another."""
    functions = function_names(node) - ROW_BY_ROW - NOW
    return not (
        functions & facts.uneven_functions
        or any(name.startswith(OF_THE_TRANSACTION) for name in functions)
        or (table.has_uneven_checks and isinstance(node, pb.UpdateStmt))
        or facts.uneven_casts
        or facts.uneven_operators
        or any(_names_system_column(column) for column in find(node, pb.ColumnRef))
        or any(str(value.sval.sval).strip().lower() in MOMENTS for value in find(node, pb.A_Const))
        or any(column in _defaulted(node) for column in _uneven_defaults(table))
    )


def at_one_time(node: Written, *, now: str, functions: frozenset[str] = NOW) -> Written:
    """Put this moment in the place of these functions, and of CURRENT_TIMESTAMP and its kin."""
    write = copy(node)
    _replace_in(write, lambda found: _moment(found, now=now, functions=functions))
    return write


def _moment(node: pb.Node, *, now: str, functions: frozenset[str]) -> pb.Node | None:
    """Give what replaces this expression; None if it does not ask for the time."""
    if node.HasField("func_call") and not node.func_call.args:
        names = strings(node.func_call.funcname)
        if names[-1] in functions and names[:-1] in ((), ("pg_catalog",)):
            return _at(now, "timestamptz", modifier=-1)
    if node.HasField("sqlvalue_function"):
        kind = TYPE_OF.get(node.sqlvalue_function.op)
        return _at(now, kind, modifier=node.sqlvalue_function.typmod) if kind else None
    return None


def _at(now: str, kind: str, *, modifier: int) -> pb.Node:
    """Write the moment with a precision, as PostgreSQL's own keyword takes it."""
    precision = f"({modifier})" if modifier >= 0 else ""
    moment = f"CAST('{now}' AS timestamptz)"
    whole = kind == "timestamptz" and not precision
    return parsed_expression(moment if whole else f"CAST({moment} AS {kind}{precision})")


def _replace_in(message: Message, moment: Callable[[pb.Node], pb.Node | None]) -> None:
    if isinstance(message, pb.ResTarget) and not message.name:
        before = copy(message.val)
        _replace_each(message, moment)
        called = column_name(before)
        if message.val != before and called != "expr":
            message.name = called  # as the column is called without the moment
    else:
        _replace_each(message, moment)


def _replace_each(message: Message, moment: Callable[[pb.Node], pb.Node | None]) -> None:
    for child in _children(message):
        found = moment(child) if isinstance(child, pb.Node) else None
        if found is not None:
            child.CopyFrom(found)
        else:
            _replace_in(child, moment)


def _children(message: Message) -> Iterator[Message]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if isinstance(value, Message):
            yield value
        else:
            yield from value


def _names_system_column(column: pb.ColumnRef) -> bool:
    return bool(column.fields) and column.fields[-1].string.sval in SYSTEM_COLUMNS


def _uneven_defaults(table: Relation) -> Iterator[str]:
    return (column.name for column in table.columns if column.has_uneven_default)


def _defaulted(node: pb.UpdateStmt | pb.DeleteStmt) -> set[str]:
    """Give the columns that are SET to DEFAULT."""
    if not isinstance(node, pb.UpdateStmt):
        return set()
    targets = (item.res_target for item in node.target_list)
    return {target.name for target in targets if any(find(target, pb.SetToDefault))}
