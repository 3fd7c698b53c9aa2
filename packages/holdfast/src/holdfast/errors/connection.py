"""Explains why there is no connection: what was tried, by which setting, what to do; judged by the server's words."""

import re
import shlex
from collections.abc import Mapping

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_dataclass, light_error

OF_ENV_PY = "the URL that env.py connects with"


@light_dataclass
class Tried:
    """Where a connection was meant to lead; never a password."""

    user: str
    database: str
    host: str
    port: str
    sslmode: str | None

    def __str__(self) -> str:
        is_socket = self.host.startswith(("/", "@"))
        where = f"the socket in {self.host}" if is_socket else f"host {self.host}"
        tls = f", sslmode={self.sslmode}" if self.sslmode else ""
        return f"user {self.user}, database {self.database}, {where}, port {self.port}{tls}"


def tried(parameters: Mapping[str, object]) -> Tried:
    """Read it from the arguments of a driver's connect()."""
    user = str(parameters.get("user") or "of the operating system")
    return Tried(
        user=user,
        database=str(parameters.get("dbname") or parameters.get("database") or user),
        host=str(parameters.get("host") or parameters.get("hostaddr") or "of libpq's default"),
        port=str(parameters.get("port") or 5432).strip(",") or "5432",
        sslmode=None if parameters.get("sslmode") is None else str(parameters["sslmode"]),
    )


@light_error
class CannotConnect(HoldfastError):
    """No connection could be made."""

    said: str
    tried: Tried
    setting: str  # that names the address
    reason: str
    advice: str
    what = "No connection to the database: {said}"
    why = "Tried: {tried}. That is what {setting} says. {reason}"
    remedy = "{advice}"


@light_error
class ConnectionLost(HoldfastError):
    """A connection ended while a statement was running."""

    said: str
    statement: str
    standing: str = ""  # what is known to be done
    what = "The connection to the database was lost: {said}\nThe statement was: {statement}"
    why = (
        "The server, or something on the way to it, has ended the session. What was committed before stays and is "
        "recorded; what was not is rolled back by the server. {standing}"
    )
    remedy = "Look at the log of the server; when it answers again, go on: {again}"


@light_error
class EndedByTimeout(HoldfastError):
    """A timeout of the server has ended a statement, or its session."""

    setting: str
    value: str
    source: str  # who has set it, in words
    ended: str  # "the statement" or "the session"
    statement: str
    standing: str  # what is known to be done
    way_out: str
    what = "{setting} = {value} has ended {ended}. The statement was: {statement}"
    why = "It is set {source}. {standing}"
    remedy = "{way_out} Then go on: {again}"


@light_dataclass
class _Cause:
    """What certain words of an error mean: libpq gives no SQLSTATE for a connection that it could not make."""

    words: str  # a regular expression
    reason: str
    advice: str


HOST = _Cause(
    words="could not translate host name|failed to resolve host|Name or service not known|getaddrinfo",
    reason="No address is known for this host, seen from here.",
    advice="Correct the host in {setting}; inside a container it is the name of the service, not localhost.",
)
PORT = _Cause(
    words="Connection refused|Connect call failed",
    reason="The host answers, but nothing listens on this port.",
    advice="Start the server, or correct host and port in {setting}. To try it: pg_isready -h {host} -p {port}",
)
SOCKET = _Cause(
    words="No such file or directory",
    reason="There is no socket of a server in this folder.",
    advice="Start the server, or name the folder of its socket (SHOW unix_socket_directories) in {setting}.",
)
SILENT = _Cause(
    words="timeout expired|timed out|No route to host|Network is unreachable",
    reason="The host does not answer: a firewall, another network, a wrong address.",
    advice="Check the way to it: pg_isready -h {host} -p {port}. If it is another host: {setting}",
)
PASSWORD = _Cause(
    words="password authentication failed|no password supplied|pgpass|SASL authentication failed",
    reason="The server does not accept the password of {user}, or was given none.",
    advice="Correct the password in {setting}{password}. To try it: psql -h {host} -p {port} -U {user} {database}",
)
ROLE = _Cause(
    words=r'role ".*" does not exist|is not permitted to log in',
    reason="The server has no such user who may log in.",
    advice='Correct the user in {setting}, or, as an administrator: CREATE ROLE "{role}" LOGIN PASSWORD ...',
)
DATABASE = _Cause(
    words=r'database ".*" does not exist',
    reason="The server answers, but has no database of that name.",
    advice="Correct the database in {setting}, or make it: createdb -h {host} -p {port} {database}",
)
NO_TLS = _Cause(
    words="does not support SSL|server does not support TLS|rejected SSL upgrade",
    reason="{demands} This server offers no TLS.",
    advice="{without_tls}Otherwise switch TLS on in the server: ssl = on in postgresql.conf.",
)
NEEDS_TLS = _Cause(
    words="no encryption|SSL off",
    reason="The server admits {user} over TLS only (pg_hba.conf), and this connection has none.",
    advice="Ask for TLS: {with_tls}",
)
NO_ENTRY = _Cause(
    words="no pg_hba.conf entry|pg_hba.conf rejects",
    reason="The server's pg_hba.conf has no line for this user, database and address.",
    advice="Add one on the server and reload it (SELECT pg_reload_conf()), or correct {setting}.",
)
CERTIFICATE = _Cause(
    words="certificate verify failed|does not match host name|root certificate file",
    reason="The server's certificate is not one that this process trusts for this host.",
    advice="Name the CA that signed it: {ca}; the host in {setting} must be a name in the certificate.",
)
BINDING = _Cause(
    words="channel binding|authentication method requirement",
    reason="{demands} Without a CA the server proves itself by the password (SCRAM with channel binding); this one "
    "asks for another way to log in.",
    advice="In the server's pg_hba.conf: scram-sha-256 instead of trust, md5 or password. Or name its CA: {ca}",
)
POOLER_TAKES_NO_OPTIONS = _Cause(
    words="unsupported startup parameter",
    reason="A connection pooler answers, and it takes no session settings at connection.",
    advice="Say that it is one: HOLDFAST_POOLER=transaction. Migrations go to the server itself: "
    "HOLDFAST_MIGRATION_URL=postgresql://{user}@HOST:5432/{database}",
)
POOLER_IS_FULL = _Cause(
    words="query_wait_timeout|no more connections allowed",
    reason="A connection pooler answers, but has no free connection to the server.",
    advice="Lower HOLDFAST_POOL_MIN and HOLDFAST_POOL_MAX, or raise default_pool_size of the pooler.",
)
OF_ROLE_OR_DATABASE = _Cause(
    words="too many connections for",
    reason="All connections that the role or the database may have are in use; a migration has up to six.",
    advice="Close some (SELECT * FROM pg_stat_activity), or raise the limit that is named: "
    "ALTER ROLE {user} CONNECTION LIMIT -1; or ALTER DATABASE {database} CONNECTION LIMIT -1;",
)
FULL = _Cause(
    words="too many clients|remaining connection slots|too many connections",
    reason="All connections that the server, the database or the role allows are in use.",
    advice="Close some (SELECT * FROM pg_stat_activity), lower HOLDFAST_POOL_MAX, or raise max_connections.",
)
STARTING = _Cause(
    words="starting up|shutting down|recovery mode|not yet accepting connections",
    reason="The server is there, but does not take connections yet, or no longer does.",
    advice="Wait for it: pg_isready -h {host} -p {port}; then the same command again.",
)
UNKNOWN = _Cause(
    words="",
    reason="The words above are the server's, or those of libpq.",
    advice="Correct {setting}, then try the same with psql: psql -h {host} -p {port} -U {user} {database}",
)
CAUSES = (
    *(POOLER_TAKES_NO_OPTIONS, POOLER_IS_FULL, OF_ROLE_OR_DATABASE),
    *(NO_TLS, NEEDS_TLS, CERTIFICATE, BINDING, PASSWORD, ROLE, DATABASE, NO_ENTRY, FULL, STARTING),
    *(HOST, PORT, SILENT, SOCKET, UNKNOWN),
)


@light_dataclass
class Profiled:
    """What holdfast's own settings say about TLS, for a connection that they make."""

    profile: str
    tls: str


def cannot_connect(said: str, *, to: Tried, setting: str, ours: Profiled | None) -> CannotConnect:
    """Give the error for these words; `ours` if holdfast's settings made the connection."""
    cause = next(each for each in CAUSES if re.search(each.words, said, re.IGNORECASE))
    fields = {
        "setting": setting,
        "user": to.user,
        "database": to.database,
        "host": to.host,
        "port": to.port,
    } | (_of_settings(ours) if ours else _of_url(to, setting))
    return CannotConnect(
        said=said.strip().splitlines()[0].removeprefix("connection failed: "),
        tried=to,
        setting=setting,
        reason=cause.reason.format(**fields),
        advice=cause.advice.format(**fields | _for_a_shell(to)),
    )


def _for_a_shell(to: Tried) -> dict[str, str]:
    """Quote the names for a shell, as the commands are to be pasted."""
    names = {"user": to.user, "database": to.database, "host": to.host, "port": to.port}
    return {name: shlex.quote(value) for name, value in names.items() if value} | {"role": to.user}


def _of_settings(ours: Profiled) -> dict[str, str]:
    return {
        "password": ", or set HOLDFAST_PASSWORD or HOLDFAST_PASSWORD_FILE",
        "demands": f"The profile {ours.profile} (HOLDFAST_PROFILE) has TLS {ours.tls} (HOLDFAST_TLS).",
        "without_tls": (
            "For a server on this machine: HOLDFAST_PROFILE=development, or HOLDFAST_TLS=remote, which asks for TLS "
            "on the network only. "
        ),
        "with_tls": "HOLDFAST_TLS=required",
        "ca": "HOLDFAST_TLS_CA=/path/to/ca.pem, or system",
    }


def _of_url(to: Tried, setting: str) -> dict[str, str]:
    return {
        "password": "",
        "demands": f"sslmode={to.sslmode} was asked for.",
        "without_tls": f"For a server on this machine: sslmode=disable in {setting}. ",
        "with_tls": f"sslmode=require in {setting}",
        "ca": f"sslmode=verify-full and sslrootcert=/path/to/ca.pem in {setting}",
    }
