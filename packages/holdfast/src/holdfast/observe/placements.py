"""Reads where Citus keeps tables, for facts of a relation, or all at once for a scratch database without Citus."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from holdfast.rewrite.facts import Placement, PlacementKind

# Where Citus keeps a table, and of each of its shards the rows and bytes: a JSON object. No shard is opened: that would
# wait for whoever has it locked, and no lock_timeout reaches it there.
PLACEMENT = """
    SELECT json_build_object('method', partmethod, 'model', repmodel, 'colocation', colocationid,
      'column', CASE WHEN partkey IS NOT NULL THEN column_to_column_name(logicalrelid, partkey) END,
      'is_automatic', coalesce(autoconverted, false),
      'has_triggers', coalesce(current_setting('citus.enable_unsafe_triggers', true), 'off') = 'on',
      'shards', ARRAY(SELECT result FROM run_command_on_shards(logicalrelid, $shard$
        SELECT json_build_array(CASE WHEN reltuples >= 0 THEN reltuples::bigint
          ELSE pg_stat_get_live_tuples(oid) END, relpages::bigint * current_setting('block_size')::bigint)
        FROM pg_class WHERE oid = '%s'::regclass
        $shard$) WHERE success))
    FROM pg_catalog.pg_dist_partition WHERE logicalrelid = {oid}"""
PLACEMENTS = text(
    f"""
    SELECT json_object_agg(format('%I.%I', nspname, relname), ({PLACEMENT.format(oid="c.oid")}))::text
    FROM pg_dist_partition d JOIN pg_class c ON c.oid = d.logicalrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    """  # noqa: S608  # a constant
)


def placement_from(document: Mapping[str, Any] | None) -> Placement | None:
    """Read one row of PLACEMENT; a reference table is replicated to each node ("t")."""
    if document is None:
        return None
    kind = PlacementKind.DISTRIBUTED
    if document["method"] == "n":
        is_single = document["colocation"] != 0  # one shard, on any node: of a distributed schema
        kind = PlacementKind.DISTRIBUTED if is_single else PlacementKind.LOCAL
        kind = PlacementKind.REFERENCE if document["model"] == "t" else kind
    return Placement(
        kind=kind,
        column=document["column"] or "",
        colocation=document["colocation"],
        is_automatic=document["is_automatic"],
        has_triggers=document["has_triggers"],
    )


def placements(connection: Connection) -> str:
    """Give all placements as a JSON object by qualified name, for a scratch database."""
    return str(connection.execute(PLACEMENTS).scalar_one() or "{}")
