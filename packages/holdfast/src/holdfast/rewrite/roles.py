"""Finds the roles that statements name: owners, grantees, session users."""

import re

from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import UnparsableStatement
from holdfast.rewrite.statement import parse
from holdfast.rewrite.tree import find

# Without one of these words no statement names a role.
NAMED = re.compile(
    r"\b(role|owner|owned|grant|revoke|policy|authorization|privileges)\b", re.IGNORECASE
)
AS_WHOM = ("role", "session_authorization")


def roles_named(sql: str) -> tuple[str, ...]:
    """Give each role once, in the order of appearance; those that a statement creates are left out."""
    if not NAMED.search(sql):
        return ()
    try:
        nodes = [statement.node for statement in parse(sql)]
    except UnparsableStatement:  # the server says what is wrong with it
        return ()
    specs = (spec for node in nodes for spec in find(node, pb.RoleSpec))
    named = [spec.rolename for spec in specs if spec.roletype == pb.ROLESPEC_CSTRING]
    named += [
        constant.sval.sval
        for node in nodes
        if isinstance(node, pb.VariableSetStmt) and node.name in AS_WHOM
        for constant in find(node, pb.A_Const)
    ]
    return tuple(dict.fromkeys(name for name in named if name != "none"))
