"""Reads a database URL in the forms that providers hand out, and never keeps the password.

Several hosts: `postgresql://app@one:5432,two:5432/shop`, as libpq writes it, or SQLAlchemy's
`postgresql://app@/shop?host=one:5432&host=two:5432`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from holdfast.engine.connection.reach import Reach, reach_of

SCHEMES = re.compile(r"(?:postgres|postgresql|postgresql\+\w+)://")
SEVERAL_HOSTS = re.compile(
    r"(?P<user>[^/?#]*@)?(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>.*)", re.DOTALL
)
# How TLS is done, and the password: moved from the URL into the settings, which judge and hide them.
MOVED = ("sslmode", "sslrootcert", "password")


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlParts:
    """A URL taken apart: the address, and what does not belong in an address."""

    address: URL
    password: str | None = None
    sslmode: str | None = None
    sslrootcert: str | None = None

    def __repr__(self) -> str:
        return f"UrlParts({self.address!r})"


def read_url(text: str) -> URL:
    """Read a URL with all that it says, several hosts too. Raises ValueError, without repeating the text."""
    if SCHEMES.match(text) is None:
        msg = "it must begin with postgresql://"
        raise ValueError(msg)
    try:
        return make_url(_with_hosts_in_query(text))
    except (ArgumentError, ValueError):
        msg = "it is not of the form postgresql://user@host:5432/database"
        raise ValueError(msg) from None


def split_url(text: str) -> UrlParts:
    """Take a URL apart. Raises ValueError, without repeating the text, which may hold a password."""
    url = read_url(text)
    if "sslpassword" in url.query:
        msg = "a sslpassword would be shown wherever the URL is"
        raise ValueError(msg)
    return UrlParts(
        address=URL.create(
            "postgresql+psycopg",
            username=url.username,
            host=url.host,
            port=url.port,
            database=url.database,
            query=url.difference_update_query(MOVED).query,
        ),
        password=_single(url, "password") if url.password is None else str(url.password),
        sslmode=_single(url, "sslmode"),
        sslrootcert=_single(url, "sslrootcert"),
    )


def arguments_of(url: URL) -> dict[str, str | int]:
    """Give the URL as keyword arguments of psycopg.connect."""
    return dict(url.get_dialect()().create_connect_args(url)[1])


def hosts(url: URL) -> tuple[str, ...]:
    """List the hosts that will be tried, without ports; () when libpq's default decides."""
    named = url.query.get("host", url.host or "")
    listed = named.split(",") if isinstance(named, str) else _without_ports(named)
    return tuple(host for host in listed if host)


def reach(url: URL) -> Reach:
    """Say how far away the server is. No host at all counts as NETWORK: libpq may take one from PGHOST."""
    address = _single(url, "hostaddr")  # where libpq goes; the host is then only a name
    return reach_of(hosts(url) if address is None else tuple(address.split(",")))


def pool_name(url: URL) -> str:
    """Give `host:port/database`, which OpenTelemetry proposes as the name of a pool."""
    where = ",".join(hosts(url)) or "localhost"
    return (
        f"{where}:{url.port or url.query.get('port') or 5432}/{url.database or url.username or ''}"
    )


def _with_hosts_in_query(text: str) -> str:
    scheme, _, tail = text.partition("://")
    several = SEVERAL_HOSTS.fullmatch(tail)
    if several is None:
        return text
    user, listed, rest = several.group("user") or "", several.group("hosts"), several.group("rest")
    query = "&".join(f"host={host}" for host in listed.split(","))
    return f"{scheme}://{user}{rest or '/'}{'&' if '?' in rest else '?'}{query}"


def _single(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if value is None or isinstance(value, str) else value[-1]


def _without_ports(named: Sequence[str]) -> list[str]:
    return [host if host.startswith("/") else host.partition(":")[0] for host in named]
