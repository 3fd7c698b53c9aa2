"""Lists all checks, in the order of their numbers in docs/doctor.md."""

from holdfast.doctor import (
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
        ),
        key=lambda check: check.number,
    )
)
