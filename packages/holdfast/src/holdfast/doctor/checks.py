"""Lists all checks, in the order of their numbers in docs/doctor.md."""

from holdfast.doctor import (
    cluster,
    connection,
    history,
    keys,
    migrating,
    pool,
    role,
    server,
    settings,
    standbys,
)
from holdfast.doctor.check import Check

# The checks for each version table that env.py goes through; the others are asked once per database.
OF_A_PASS = tuple(check for check in history.CHECKS if check.name != "leftovers")
OF_A_DATABASE = tuple(
    check for check in (*history.CHECKS, *keys.CHECKS, *migrating.CHECKS) if check not in OF_A_PASS
)
CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (
            *settings.CHECKS,
            *connection.CHECKS,
            *role.CHECKS,
            *server.CHECKS,
            *pool.CHECKS,
            *history.CHECKS,
            *keys.CHECKS,
            *migrating.CHECKS,
            *standbys.CHECKS,
            *cluster.CHECKS,
        ),
        key=lambda check: check.number,
    )
)
