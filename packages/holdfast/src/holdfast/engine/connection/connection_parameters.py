"""Decides what libpq is told about a connection: TLS, timeouts, keepalives, the kind of host. Pure.

PostgreSQL manual, "Database Connection Control Functions": sslmode, channel_binding, require_auth,
tcp_user_timeout, target_session_attrs. A pooler takes no `options`: see `engine`.
"""

from dataclasses import asdict, dataclass

from sqlalchemy.engine import URL

from holdfast.engine.connection.database_url import hosts, reach
from holdfast.engine.connection.tls import TlsParameters, tls_parameters
from holdfast.engine.settings import Settings, Timeouts
from holdfast.errors.durations import milliseconds, whole_seconds

# libpq and psycopg take whole seconds, at least two, for each host.
SHORTEST_CONNECT_TIMEOUT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionParameters:
    """The parameters of a connection, by libpq's names; None is not passed on."""

    application_name: str
    connect_timeout: int
    tcp_user_timeout: int  # milliseconds
    keepalives_idle: int  # seconds, as the next
    keepalives_interval: int
    keepalives_count: int
    options: str | None
    target_session_attrs: str | None
    tls: TlsParameters

    def as_arguments(self, url: URL) -> dict[str, str | int]:
        """Give keyword arguments for psycopg. What the URL itself says stays, except TLS."""
        own = {name: value for name, value in asdict(self).items() if name != "tls"}
        if self.options is not None and "options" in url.query:
            own["options"] = f"{self.options} {url.query['options']}"  # the later one wins
        said = {
            name: value for name, value in own.items() if name == "options" or name not in url.query
        }
        arguments = said | asdict(self.tls)
        return {name: value for name, value in arguments.items() if value is not None}


def server_timeouts(timeouts: Timeouts) -> tuple[tuple[str, int], ...]:
    """Give the server's timeouts: PostgreSQL's parameter names, with milliseconds."""
    return (
        ("statement_timeout", milliseconds(timeouts.statement)),
        ("lock_timeout", milliseconds(timeouts.lock)),
        ("idle_in_transaction_session_timeout", milliseconds(timeouts.idle_in_transaction)),
    )


def named(application: str, *, release: str | None) -> str:
    """Give the name of a session, with the release at its end if there is one; PostgreSQL keeps 63 bytes."""
    if release is None:
        return application
    end = f" release={release}"
    return application.encode()[: 63 - len(end.encode())].decode(errors="ignore") + end


def connection_parameters(
    settings: Settings, *, url: URL, ca_file: str | None
) -> ConnectionParameters:
    """Derive every parameter from the settings; `ca_file` is `settings.tls_ca` as a file."""
    timeouts = settings.timeouts
    options = " ".join(f"-c {name}={value}" for name, value in server_timeouts(timeouts))
    return ConnectionParameters(
        application_name=named(settings.application_name, release=settings.release),
        connect_timeout=max(SHORTEST_CONNECT_TIMEOUT, whole_seconds(settings.pool.timeout)),
        tcp_user_timeout=milliseconds(timeouts.tcp_user),
        keepalives_idle=whole_seconds(timeouts.keepalives_idle),
        keepalives_interval=whole_seconds(timeouts.keepalives_interval),
        keepalives_count=timeouts.keepalives_count,
        options=None if settings.is_pooled else options,
        target_session_attrs="read-write" if len(hosts(url)) > 1 else None,
        tls=tls_parameters(
            settings.tls, reach=reach(url), ca_file=ca_file, pooler=settings.is_pooled
        ),
    )
