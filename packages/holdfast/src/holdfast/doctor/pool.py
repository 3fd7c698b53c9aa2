"""Checks of the pool against what the server gives."""

from holdfast.doctor.check import Check, Evidence, Verdict, fine, refuse_in_production, warn

# Connections of a migration: its own, the one with the lock, the guard's. At times also: one that notices a silent
# guard, one that watches a statement, one that cancels it after a second Ctrl-C.
MIGRATION_AT_LEAST = 3
MIGRATION = 6


def _budget(evidence: Evidence) -> Verdict:
    server, each = evidence.application.server, evidence.settings.pool.max
    if evidence.settings.is_pooled:
        return fine("the pooler divides them")
    room = server.max_connections - (0 if server.superuser else server.reserved_connections)
    room = min(room, server.connection_limit or room) - MIGRATION
    said = evidence.settings.replicas
    needed = each * (said or 1)
    if needed > room:
        return refuse_in_production(
            evidence,
            f"{said or 1} pools of {each} are {needed} connections, the server has {room} for us",
            f"HOLDFAST_POOL_MAX={max(1, room // (said or 1))}, or a larger max_connections.",
        )
    count = (
        f"{said} pools" if said else f"{room // each} pools (HOLDFAST_REPLICAS: how many there are)"
    )
    return fine(f"{count} of {each} fit into {room} connections")


def _nested(evidence: Evidence) -> Verdict:
    if evidence.settings.pool.max > 1:
        return fine(f"up to {evidence.settings.pool.max} at once")
    return warn(
        "a pool of one: a request that needs a second connection waits for itself",
        "HOLDFAST_POOL_MAX=2 or more.",
    )


CHECKS = (
    Check(number=16, name="pool-budget", title="all pools fit", judge=_budget, at_start=True),
    Check(number=17, name="pool-of-one", title="two connections at once", judge=_nested),
)
