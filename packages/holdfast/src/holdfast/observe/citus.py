"""Asks the workers of a Citus cluster who holds locks there, and which indexes of shards are invalid.

Asked only of a coordinator, in one query each; Citus asks its nodes. Any role may. The manual of Citus: citus_locks,
citus_stat_activity, run_command_on_all_nodes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from holdfast.observe.blockers import Blocker, blocker_kind, holders
from holdfast.observe.shown_query import shown_query
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock
from holdfast.rewrite.names import QualifiedName

# One row per session with a granted lock, on any node, on a wanted table or one of its shards. Who came in through the
# coordinator is in its own pg_locks too, under the process id that is given here.
HOLDERS = text(
    """
    WITH wanted AS (
      SELECT c.oid, c.relname, n.nspname, asked.mode
      FROM unnest(CAST(:schemas AS text[]), CAST(:names AS text[]), CAST(:modes AS text[]))
             AS asked (schema, name, mode)
      JOIN pg_namespace n ON n.nspname = asked.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
    ), named AS (
      SELECT oid, relname, mode, format('%I', relname) AS written FROM wanted
      UNION ALL SELECT oid, relname, mode, format('%I.%I', nspname, relname) FROM wanted
      UNION ALL SELECT oid, relname, mode, shard_name(logicalrelid, shardid) FROM wanted
        JOIN pg_dist_shard ON logicalrelid = oid
    )
    SELECT DISTINCT ON (l.global_pid, named.oid)
           l.global_pid, l.mode, named.relname AS relation, l.global_pid % 10000000000 AS local_pid,
           CASE WHEN n.groupid <> 0 THEN n.nodename || ':' || n.nodeport END AS worker,
           -- A session of another role is hidden from this one, but for its user: only the server's own have none.
           CASE WHEN a.usesysid IS NULL THEN 'autovacuum worker' ELSE a.backend_type END AS backend_type,
           a.state, a.xact_start AS since,
           nullif(a.query, '') AS query, a.query LIKE 'autovacuum:%(to prevent wraparound)' AS wraparound,
           coalesce(a.application_name, '') AS application, coalesce(a.usename, '') AS role
    FROM named
    JOIN citus_locks l ON l.locktype = 'relation' AND l.relation_name = named.written AND l.mode = named.mode
    LEFT JOIN citus_stat_activity a ON a.global_pid = l.global_pid AND NOT a.is_worker_query
    LEFT JOIN pg_dist_node n ON n.nodeid = coalesce(a.nodeid, l.nodeid)
    WHERE l.granted AND l.global_pid IS DISTINCT FROM citus_backend_gpid()
    ORDER BY l.global_pid, named.oid, l.mode
    """
)
OF_NODE = "an autovacuum, or a transaction that Citus has prepared and not ended"  # neither has a global id
# What each node is asked: its indexes that are not valid, and who builds one at this moment.
INVALID_ON_NODE = """
SELECT coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', c.relname, 'shard', t.relname, 'builder', p.pid)), '[]')
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_progress_create_index p ON p.relid = t.oid AND p.index_relid IN (0, c.oid)
WHERE NOT i.indisvalid AND c.relkind = 'i'
"""
# One row per index of a shard that is not valid, with the index of the table that it is a part of, if it is one.
INVALID = text(
    """
    SELECT n.nodename || ':' || n.nodeport AS node, found.schema, found.name, found.builder,
           ns.nspname AS table_schema, t.relname AS table_name,
           (SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid
            WHERE indrelid = t.oid AND shard_name(indexrelid, shard.shardid)
              IN (format('%I', found.name), format('%I.%I', found.schema, found.name))) AS index_name
    FROM run_command_on_all_nodes(:sql) AS answer
    JOIN pg_dist_node n USING (nodeid)
    CROSS JOIN LATERAL json_to_recordset(answer.result::json)
      AS found (schema text, name text, shard text, builder integer)
    JOIN pg_dist_shard shard ON shard.shardid = CAST(substring(found.shard FROM '_([0-9]+)$') AS bigint)
    JOIN pg_class t ON t.oid = shard.logicalrelid JOIN pg_namespace ns ON ns.oid = t.relnamespace
    WHERE answer.success ORDER BY 1, 2, 3
    """
)
# What a node says of the cluster; one row. What nobody has ended holds its locks, also through a restart.
CLUSTER = text(
    """
    SELECT citus_is_coordinator() AS is_coordinator,
      (SELECT extversion FROM pg_extension WHERE extname = 'citus') AS version,
      (SELECT count(*) FROM pg_dist_node WHERE groupid <> 0 AND noderole = 'primary') AS workers,
      ARRAY(SELECT nodename || ':' || nodeport FROM pg_dist_node
            WHERE NOT isactive OR NOT hasmetadata OR NOT metadatasynced ORDER BY 1) AS lagging
    """
)
UNENDED_ON_NODE = """
SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'citus%' AND prepared < now() - interval '1 minute'
  AND database = current_database()
"""
# One row per node: how many transactions nobody has ended there, or why it does not answer.
ANSWERS = text(
    """
    SELECT n.nodename || ':' || n.nodeport AS node, answer.success, answer.result
    FROM run_command_on_all_nodes(:sql) AS answer JOIN pg_dist_node n USING (nodeid) ORDER BY 1
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidOnNode:
    """An index of a shard that is not valid, or is being built."""

    node: str
    name: QualifiedName
    table: QualifiedName  # whose shard it is
    index: str | None  # of the table; None: it is a part of none, as what a REINDEX leaves
    builder: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A Citus cluster, as one of its nodes describes it."""

    version: str
    is_coordinator: bool
    workers: int
    lagging: tuple[
        str, ...
    ] = ()  # nodes that are inactive, or do not know what the coordinator knows
    silent: tuple[str, ...] = ()  # nodes that do not answer
    unended: tuple[str, ...] = ()  # nodes with a distributed transaction that nobody has ended


def look_at_cluster(connection: Connection) -> Cluster:
    """Ask a node about its cluster, and each node of the cluster whether it answers."""
    row = connection.execute(CLUSTER).one()
    answers = connection.execute(ANSWERS, {"sql": UNENDED_ON_NODE}).all()
    return Cluster(
        version=row.version,
        is_coordinator=row.is_coordinator,
        workers=row.workers,
        lagging=tuple(row.lagging),
        silent=tuple(each.node for each in answers if not each.success),
        unended=tuple(each.node for each in answers if each.success and each.result != "0"),
    )


def blockers_on_workers(connection: Connection, locks: Iterable[Lock]) -> tuple[Blocker, ...]:
    """Find the sessions that hold, on any node, what conflicts with these locks on a table or its shards."""
    return tuple(
        Blocker(
            kind=blocker_kind(row.backend_type, row.state, row.application, row.wraparound, None),
            transaction=str(row.global_pid or row.worker),
            pid=row.global_pid if row.worker else row.local_pid,
            who=", ".join(part for part in (row.role, row.application) if part) or OF_NODE,
            relation=row.relation,
            mode=row.mode,
            since=row.since,
            query=shown_query(row.query),
            worker=row.worker,
        )
        for row in holders(connection, HOLDERS, locks=locks)
    )


def invalid_on_nodes(connection: Connection) -> tuple[InvalidOnNode, ...]:
    """Find the indexes of shards that are not valid, on every node that answers."""
    return tuple(
        InvalidOnNode(
            node=row.node,
            name=QualifiedName(schema=row.schema, name=row.name),
            table=QualifiedName(schema=row.table_schema, name=row.table_name),
            index=row.index_name,
            builder=row.builder,
        )
        for row in connection.execute(INVALID, {"sql": INVALID_ON_NODE})
    )


def drop_on_nodes(name: QualifiedName) -> str:
    """Write the statement that drops an index of a shard, on whatever node it is."""
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
    return f"SELECT run_command_on_all_nodes({literal(drop)})"
