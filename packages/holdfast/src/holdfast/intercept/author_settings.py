"""What the author of a revision has SET: a statement that is queued runs under the same."""

from postgast import pg_query_pb2 as pb
from sqlalchemy import text

from holdfast.execute.session import LocalSetting, MigrationSession
from holdfast.rewrite.statement import Statement


class AuthorSettings:
    """The names that SET and set_config() have named in one call of a revision's function."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self.names: set[str] = set()

    def note(self, statement: Statement) -> None:
        """A SET is on its way to the server."""
        self.names |= _names_set(statement)

    def in_force(self) -> tuple[LocalSetting, ...]:
        """The settings of the author with the values that they have now."""
        current = text("SELECT current_setting(:name)")
        return tuple(
            LocalSetting(
                name=name, setting=self.session.execute(current, {"name": name}).scalar_one()
            )
            for name in sorted(self.names)
        )

    def keep(self, settings: tuple[LocalSetting, ...]) -> None:
        """They hold in the later transactions of the session too, in place of what env.py has set."""
        names = {setting.name for setting in settings}
        others = (before for before in self.session.local_settings if before.name not in names)
        self.session.local_settings = (*others, *settings)


UNREADABLE = {"seed"}  # it can be set, but nobody can ask for it
# SET TRANSACTION and SET SESSION CHARACTERISTICS name no setting, but set these. The isolation level of a transaction
# can be set only before its first statement: each of ours has its own.
MODES = {
    "TRANSACTION": {"transaction_read_only": "transaction_read_only"},
    "SESSION CHARACTERISTICS": {
        "transaction_deferrable": "default_transaction_deferrable",
        "transaction_isolation": "default_transaction_isolation",
        "transaction_read_only": "default_transaction_read_only",
    },
}


def _names_set(statement: Statement) -> set[str]:
    node = statement.node
    if isinstance(node, pb.VariableSetStmt):
        if node.kind == pb.VAR_SET_MULTI:
            modes = MODES.get(node.name, {})
            return {modes[o.def_elem.defname] for o in node.args if o.def_elem.defname in modes}
        return {node.name} - UNREADABLE if node.name else set()
    # SELECT set_config('search_path', ..): its first argument
    values = [
        call.args[0].a_const.sval.sval
        for target in getattr(node, "target_list", ())
        if (call := target.res_target.val.func_call).funcname
        and call.funcname[-1].string.sval == "set_config"
    ]
    return {value for value in values if value}
