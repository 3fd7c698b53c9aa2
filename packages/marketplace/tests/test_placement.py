"""Which servers each statement asks, where the database is divided by user: known from its text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import postgast
import pytest
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.expression import ClauseElement

from marketplace import cleanup, outbox
from marketplace.accounts import queries as accounts
from marketplace.accounts import rotation, session_lookup
from marketplace.accounts.clients import Client
from marketplace.catalog import stock
from marketplace.entities import EndReason
from marketplace.orders import idempotency
from marketplace.orders import queries as orders
from marketplace.orders.schemas import OrderFilters
from marketplace.orders.service import checkout, expiry
from marketplace.persons import queries as persons
from marketplace.placement import Placement
from marketplace.placing import BY_ITSELF, BY_USER, BY_VARIANT
from marketplace.settings import SessionSettings

DIVIDED = BY_USER | BY_VARIANT | BY_ITSELF
USER, ORDER = UUID(int=1), UUID(int=2)
CLIENT = Client(address="192.0.2.7", stored_address=None, user_agent="x")
OF_THE_MOMENT = {"now", "statement_timestamp", "clock_timestamp", "random", "gen_random_uuid"}


def tree(statement: str | ClauseElement) -> Message:
    if not isinstance(statement, str):
        statement = str(statement.compile(dialect=postgresql.psycopg.dialect()))
    text = re.sub(r"%\(\w+\)s|%s|(?<!:):[a-z]\w*", "$1", statement)
    return postgast.parse(text)


def walk(node: Message, kind: type) -> Iterator[Any]:
    if isinstance(node, kind):
        yield node
    for field, value in node.ListFields():
        if field.message_type is None:
            continue
        for child in value if not isinstance(value, Message) else (value,):
            yield from walk(child, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The divided tables that a statement asks on every server, and those of which it asks those that it names."""

    named: frozenset[str]
    everywhere: frozenset[str]


def asked(statement: str | ClauseElement) -> Asked:
    parsed = tree(statement)
    tables = {each.relname for each in walk(parsed, pb.RangeVar)} & DIVIDED.keys()
    columns = set(_named_columns(parsed))
    named = {table for table in tables if DIVIDED[table] in columns}
    return Asked(named=frozenset(named), everywhere=frozenset(tables - named))


def _named_columns(parsed: Message) -> Iterator[str]:
    """Columns that are compared with a value, and those that an INSERT writes."""
    for each in walk(parsed, pb.A_Expr):
        kinds = (pb.AEXPR_OP, pb.AEXPR_OP_ANY)
        is_value = each.rexpr.WhichOneof("node") in {"param_ref", "a_const", "type_cast"}
        if each.kind in kinds and each.name[0].string.sval == "=" and is_value:
            yield from (_last(column) for column in walk(each.lexpr, pb.ColumnRef))
    for each in walk(parsed, pb.InsertStmt):
        yield from (column.res_target.name for column in each.cols)


def _last(column: Any) -> str:
    return str(column.fields[-1].string.sval)


def refused(statement: str | ClauseElement) -> list[str]:
    """What a cluster does not execute of a statement."""
    parsed = tree(statement)
    found = [*_of_inserts(parsed), *_of_changes(parsed)]
    if asked(statement).everywhere and list(walk(parsed, pb.LockingClause)):
        found.append("locks rows on every server")
    return found


def _of_inserts(parsed: Message) -> Iterator[str]:
    for each in walk(parsed, pb.InsertStmt):
        if _of_the_moment(each.returning_clause) or _of_the_moment(each.on_conflict_clause):
            yield "a function of the moment"
        inferred = {part.index_elem.name for part in each.on_conflict_clause.infer.index_elems}
        needed = DIVIDED.get(each.relation.relname)
        if inferred and needed is not None and needed not in inferred:
            yield "a key without the column that divides the table"


def _of_changes(parsed: Message) -> Iterator[str]:
    for each in (*walk(parsed, pb.UpdateStmt), *walk(parsed, pb.DeleteStmt)):
        chosen = [*walk(each, pb.CaseExpr), *walk(each, pb.CoalesceExpr)]
        if _of_the_moment(each.returning_clause) or any(map(_of_the_moment, chosen)):
            yield "a function of the moment"
    for each in walk(parsed, pb.UpdateStmt):
        set_to = [expr for target in each.target_list for expr in walk(target, pb.A_Expr)]
        if any(_of_the_moment(expr) and list(walk(expr, pb.ColumnRef)) for expr in set_to):
            yield "a function of the moment and of a column"


def _of_the_moment(part: Message) -> bool:
    return any(_last_name(call) in OF_THE_MOMENT for call in walk(part, pb.FuncCall))


def _last_name(call: Any) -> str:
    return str(call.funcname[-1].string.sval)


NOW = timedelta(minutes=1)
HOT: dict[str, str | ClauseElement] = {
    "session": session_lookup.LOOKUP_PLACED,
    "rotate": rotation.ROTATE_PLACED,
    "find": rotation.FIND_PLACED,
    "revoke a spent one": rotation.REVOKE_REUSED_PLACED,
    "claim": idempotency.CLAIM,
    "unpaid": checkout.UNPAID,
    "place": checkout.PLACE,
    "address": checkout.ADD_ADDRESS,
    "take": stock.TAKE_PLACED,
    "give back": stock.GIVE_BACK_PLACED,
    "what to give back": stock.TO_GIVE_BACK,
    "adjust": stock.ADJUST_PLACED,
    "availability": stock.AVAILABLE,
    "log in": accounts.open_session(
        USER, user_id=USER, token_hash=b"", client=CLIENT, settings=SessionSettings()
    ),
    "evict": accounts.revoke(accounts.beyond(9, user_id=USER), reason=EndReason.EVICTED),
    "log out": accounts.revoke(accounts.of_user(USER), reason=EndReason.LOGOUT),
    "devices": accounts.live_sessions(USER),
    "reauthenticate": accounts.reauthenticate(ORDER, user_id=USER),
    "known device": accounts.is_known_device(USER, CLIENT),
    "a letter's token": accounts.put_verification(USER, token_hash=b"", lifetime=NOW),
    "its use": accounts.take_verification(USER, token_hash=b""),
    "another address": accounts.put_email_change(USER, new_email="", token_hash=b"", lifetime=NOW),
    "my orders": orders.my_orders(USER, OrderFilters(), after=None),
    "my order": orders.order_with_all(ORDER, owner_id=USER),
    "my order, locked": orders.locked_order(ORDER, owner_id=USER),
    "my order's address": orders.put_address(
        ORDER, owner_id=USER, values={"city": "x"}, placement=Placement.BY_USER
    ),
    "my addresses": persons.addresses_of(USER),
    **{f"end {name}": job.end for name, job in cleanup.PLACED.items()},
}
RARE: dict[str, str | ClauseElement] = {
    "whose session": rotation.OWNER,
    "whose order": orders.owner_of(ORDER),
    "overdue": expiry.overdue_unlocked(older_than=NOW, batch=1),
    "roll up": stock.ROLLED_UP,
    **{f"find {name}": job.find for name, job in cleanup.PLACED.items()},
}


@pytest.mark.parametrize("name", HOT)
def test_a_hot_path_asks_the_servers_that_it_names(name: str) -> None:
    """Whatever is asked or written for a user, or of a variant, names the column that divides its table."""
    found = asked(HOT[name])
    assert (bool(found.named), found.everywhere, refused(HOT[name])) == (True, frozenset(), [])


@pytest.mark.parametrize("name", RARE)
def test_what_asks_every_server_locks_nothing(name: str) -> None:
    """It finds keys; what is done about each names its server."""
    assert asked(RARE[name]).everywhere
    assert refused(RARE[name]) == []


FIRST_SERVER: dict[str, str | ClauseElement] = {
    "letters that are due": outbox.TAKE,
    "a letter that failed": outbox.FAILED,
    "a letter that is given up": outbox.GIVE_UP,
    "one more try": accounts.try_letter_again(ORDER),
    "the end of an account": accounts.change_user(USER, disabled_at=accounts.NOW),
}


@pytest.mark.parametrize("name", FIRST_SERVER)
def test_what_is_not_divided_is_written_in_the_same_way(name: str) -> None:
    """A table that refers to users belongs to the cluster, too."""
    assert (asked(FIRST_SERVER[name]).everywhere, refused(FIRST_SERVER[name])) == (frozenset(), [])


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("SELECT id FROM orders WHERE status = 'x' FOR UPDATE", ["locks rows on every server"]),
        (
            "UPDATE sessions SET generation = 1 WHERE user_id = $1 RETURNING now()",
            ["a function of the moment"],
        ),
        (
            "INSERT INTO email_changes (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET expires_at = now()",
            ["a function of the moment"],
        ),
        (
            "UPDATE letters SET next_attempt_at = now() + attempts * interval '1 s' WHERE id = $1",
            ["a function of the moment and of a column"],
        ),
        (
            "UPDATE users SET disabled_at = coalesce(disabled_at, now()) WHERE id = $1",
            ["a function of the moment"],
        ),
        (
            "INSERT INTO delivery_addresses (order_id) VALUES ($1) ON CONFLICT (order_id) DO NOTHING",
            ["a key without the column that divides the table"],
        ),
        ("SELECT id FROM orders WHERE ordered_by_id = $1 FOR UPDATE", []),
    ],
)
def test_what_a_cluster_refuses_is_seen(statement: str, why: list[str]) -> None:
    """The rule itself."""
    assert refused(statement) == why
