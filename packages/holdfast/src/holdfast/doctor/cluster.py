"""The check of a Citus cluster: its nodes answer, agree with each other, and hold no forgotten transaction."""

from collections.abc import Iterator

from holdfast.doctor.check import Check, Evidence, Verdict, fine, refuse, warn
from holdfast.observe.citus import Cluster


def _citus(evidence: Evidence) -> Verdict | None:
    cluster = evidence.cluster
    if cluster is None:
        return None
    if not cluster.is_coordinator:
        return refuse(
            "a worker of a Citus cluster: schema changes go through its coordinator",
            "Name the coordinator in the URL.",
        )
    problems = list(_problems(cluster))
    if problems:
        return warn(
            "; ".join(says for says, _ in problems), " ".join(to_do for _, to_do in problems)
        )
    return fine(
        f"Citus {cluster.version}, {cluster.workers} workers; docs/scale.md says what differs"
    )


def _problems(cluster: Cluster) -> Iterator[tuple[str, str]]:
    if cluster.silent:
        yield (
            f"nodes of the Citus cluster that do not answer: {', '.join(cluster.silent)}",
            "Every schema change needs all of them: start them, or SELECT citus_remove_node(..).",
        )
    if cluster.lagging:
        yield (
            f"nodes that are inactive or do not know what the coordinator knows: {', '.join(cluster.lagging)}",
            "SELECT citus_activate_node(..) for each; SELECT start_metadata_sync_to_all_nodes();",
        )
    if cluster.unended:
        yield (
            f"distributed transactions that nobody has ended hold their locks on {', '.join(cluster.unended)}",
            "SELECT recover_prepared_transactions();",
        )


CHECKS = (Check(number=35, name="citus", title="the Citus cluster", judge=_citus),)
