"""RENAME TABLE for two releases: the table gets its new name, and a view the old one, in one moment.

What a view does not do for a table is said by `plan`; see docs/side-by-side.md.
"""

from dataclasses import dataclass

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.citus import TWO_NAMES
from holdfast.rewrite.facts import Facts, Relation, RelationKind
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import BatchStep, Step
from holdfast.rewrite.waiting import Waiting

RENAMED = {
    RelationKind.TABLE: "TABLE",
    RelationKind.PARTITIONED_TABLE: "TABLE",
    RelationKind.VIEW: "VIEW",
    RelationKind.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
}
NOT_THROUGH = (
    "by the old name these fail until then: COPY {old} TO or FROM, TRUNCATE, ON CONFLICT ON CONSTRAINT,"
    " ctid and xmin, WHERE CURRENT OF, TABLESAMPLE, GROUP BY the primary key alone, MERGE before"
    " PostgreSQL 17; and pg_get_serial_sequence() gives NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A table and its new name."""

    old: QualifiedName
    new: QualifiedName
    kind: str


def renamed_table(
    statement: Statement, facts: Facts
) -> tuple[tuple[Step, ...], NeedsOneRelease | None] | None:
    """Give the steps of the first half, or why there are none; None for other statements and new tables."""
    node = statement.node
    kinds = (pb.OBJECT_TABLE, pb.OBJECT_VIEW, pb.OBJECT_MATVIEW)
    if not isinstance(node, pb.RenameStmt) or node.rename_type not in kinds:
        return None
    relation = facts.in_use(node.relation)
    if relation is None or relation.kind not in RENAMED:
        return None
    if relation.placement is not None:
        what = f"rename of table {relation.name.name}"
        return (), NeedsOneRelease(relation=str(relation.name), what=what, reasons=(TWO_NAMES,))
    if relation.published_by:
        reason = (
            f"The publication {relation.published_by} sends the table, and its subscribers know it by its"
            " old name."
        )
        what = f"rename of table {relation.name.name}"
        return (), NeedsOneRelease(relation=str(relation.name), what=what, reasons=(reason,))
    new = QualifiedName(schema=relation.name.schema, name=node.newname)
    renamed = Renamed(old=relation.name, new=new, kind=RENAMED[relation.kind])
    return (_expand(renamed, relation, statement),), None


def _expand(renamed: Renamed, relation: Relation, statement: Statement) -> BatchStep:
    old, new, kind = renamed.old, renamed.new, renamed.kind
    gone = f"DROP VIEW IF EXISTS {old}"
    back = f"ALTER {kind} {new} RENAME TO {quote(old.name)}"
    waiting = Waiting(
        what="table name",
        name=old.name,
        new_name=new.name,
        relation=new,
        sql=statement.sql,
        finish=(gone,),
        back=(gone, back),
        notes=(NOT_THROUGH.format(old=old.name),) if kind == "TABLE" else (),
    )
    return BatchStep(
        what=f"rename {old} to {new.name}, and let a view have the old name",
        sql=(
            f"ALTER {kind} {old} RENAME TO {quote(new.name)}",
            f"CREATE VIEW {old} WITH (security_invoker = true) AS SELECT * FROM {new}",
            *_privileges(renamed),
        ),
        locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=old),),
        undo=(f"{gone}; {back}",),
        waits=(waiting,),
    )


OWNER = """IF (SELECT relowner <> (SELECT relowner FROM pg_catalog.pg_class WHERE oid = {view}::regclass)
  FROM pg_catalog.pg_class WHERE oid = {table}::regclass) THEN
  EXECUTE format({alter}, {view}, (SELECT relowner::regrole FROM pg_catalog.pg_class WHERE oid = {table}::regclass));
END IF"""
GRANTS = """DECLARE g record; BEGIN
  FOR g IN SELECT a.privilege_type, a.grantee, a.is_grantable, '' AS columns
      FROM pg_catalog.pg_class c, aclexplode(c.relacl) a
      WHERE c.oid = {table}::regclass AND a.grantee <> c.relowner
    UNION ALL SELECT a.privilege_type, a.grantee, a.is_grantable, ' (' || quote_ident(k.attname) || ')'
      FROM pg_catalog.pg_attribute k JOIN pg_catalog.pg_class c ON c.oid = k.attrelid, aclexplode(k.attacl) a
      WHERE c.oid = {table}::regclass AND NOT k.attisdropped AND a.grantee <> c.relowner
  LOOP
    EXECUTE format({grant}, g.privilege_type, g.columns, {view},
      CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
      CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
  END LOOP;
END"""


def _privileges(renamed: Renamed) -> tuple[str, ...]:
    """Grant the table's privileges on its view; the owner needs none."""
    names = {
        "table": literal(str(renamed.new)),
        "view": literal(str(renamed.old)),
        "alter": literal("ALTER VIEW %s OWNER TO %s"),
        "grant": literal("GRANT %s%s ON %s TO %s%s"),
    }
    return OWNER.format(**names), GRANTS.format(**names)
