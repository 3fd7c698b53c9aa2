"""What libpq is told about a connection: TLS, timeouts, keepalives, the kind of host. Decides, pure.

PostgreSQL manual, "Database Connection Control Functions": sslmode, channel_binding, require_auth,
tcp_user_timeout, target_session_attrs. A pooler takes no `options`: see `engine`.
"""

from dataclasses import asdict, dataclass

from sqlalchemy.engine import URL

from holdfast.database_url import Reach, hosts, reach
from holdfast.durations import milliseconds, whole_seconds
from holdfast.profiles import Tls
from holdfast.settings import Settings, Timeouts

# libpq and psycopg take whole seconds, at least two, for each host.
SHORTEST_CONNECT_TIMEOUT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsParameters:
    """None: not said, libpq's default holds."""

    sslmode: str | None = None
    sslrootcert: str | None = None
    channel_binding: str | None = None
    require_auth: str | None = None
    gssencmode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionParameters:
    """libpq's names; None: not said."""

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
        """For psycopg. What the URL names itself stays as it is there, except TLS."""
        own = {name: value for name, value in asdict(self).items() if name != "tls"}
        if self.options is not None and "options" in url.query:
            own["options"] = f"{self.options} {url.query['options']}"  # the later one wins
        said = {
            name: value for name, value in own.items() if name == "options" or name not in url.query
        }
        arguments = said | asdict(self.tls)
        return {name: value for name, value in arguments.items() if value is not None}


def tls_parameters(tls: Tls, *, reach: Reach, ca_file: str | None, pooler: bool) -> TlsParameters:
    """How TLS is done on the way to a server that is so far away."""
    local = reach is not Reach.NETWORK
    if tls is Tls.OFF or (tls is Tls.REMOTE and local):
        return TlsParameters(sslmode="disable")
    if reach is Reach.SOCKET:
        return TlsParameters()  # TLS does not exist on a socket; channel binding would fail there
    if tls is Tls.ENCRYPT_ONLY:
        return TlsParameters(sslmode="require", gssencmode="disable")
    if ca_file is not None:
        return TlsParameters(sslmode="verify-full", sslrootcert=ca_file, gssencmode="disable")
    # No CA: the server proves that it knows the password's verifier, bound to this TLS connection. A
    # server that asks for no password or for a plain one is refused, it could be anybody.
    return TlsParameters(
        sslmode="require",
        channel_binding=None if pooler else "require",
        require_auth="scram-sha-256",
        gssencmode="disable",
    )


def server_timeouts(timeouts: Timeouts) -> tuple[tuple[str, int], ...]:
    """PostgreSQL's parameters, in milliseconds."""
    return (
        ("statement_timeout", milliseconds(timeouts.statement)),
        ("lock_timeout", milliseconds(timeouts.lock)),
        ("idle_in_transaction_session_timeout", milliseconds(timeouts.idle_in_transaction)),
    )


def connection_parameters(
    settings: Settings, *, url: URL, ca_file: str | None
) -> ConnectionParameters:
    """Everything from the settings; `ca_file` is `settings.tls_ca` as a file."""
    timeouts = settings.timeouts
    options = " ".join(f"-c {name}={value}" for name, value in server_timeouts(timeouts))
    return ConnectionParameters(
        application_name=settings.application_name,
        connect_timeout=max(SHORTEST_CONNECT_TIMEOUT, whole_seconds(settings.pool.timeout)),
        tcp_user_timeout=milliseconds(timeouts.tcp_user),
        keepalives_idle=whole_seconds(timeouts.keepalives_idle),
        keepalives_interval=whole_seconds(timeouts.keepalives_interval),
        keepalives_count=timeouts.keepalives_count,
        options=None if settings.pooler else options,
        target_session_attrs="read-write" if len(hosts(url)) > 1 else None,
        tls=tls_parameters(settings.tls, reach=reach(url), ca_file=ca_file, pooler=settings.pooler),
    )
