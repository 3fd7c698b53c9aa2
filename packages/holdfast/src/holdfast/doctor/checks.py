"""Lists all checks, in the order of their numbers in docs/doctor.md."""

from holdfast.doctor import connection, history, keys, pool, role, server, settings
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
        ),
        key=lambda check: check.number,
    )
)
