"""The client of a request: where it comes from, and what of that a session may keep.

For security only: rate limits, and a list of devices in which their owner recognises them. Both are
cut by the settings, cleaned up after the session has ended, and never logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request

from marketplace.settings import SessionSettings, StoredAddress

UNKNOWN = "unknown"  # a unix socket has no address
NETWORK_PREFIX = {4: 24, 6: 48}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`address` is for this request alone; the other two are for the session."""

    address: str
    stored_address: str | None
    user_agent: str | None

    @property
    def counted_as(self) -> str:
        """The key by which requests are counted: an IPv4 address, or the IPv6 /64 that one customer has whole."""
        try:
            parsed = ip_address(self.address)
        except ValueError:
            return self.address
        if parsed.version == 4:
            return self.address
        return str(ip_network(f"{parsed}/64", strict=False))


async def client_of(request: Request) -> Client:
    """Find the client, believing as many proxies as the settings say stand before us."""
    settings = request.app.state.accounts.settings
    address = client_address(
        peer=_peer(request),
        forwarded_for=request.headers.getlist("X-Forwarded-For"),
        trusted_proxies=settings.trusted_proxies,
    )
    return Client(
        address=address or UNKNOWN,
        stored_address=stored_address(address, settings.session.address),
        user_agent=stored_user_agent(request.headers.get("User-Agent"), settings.session),
    )


def _peer(request: Request) -> str | None:
    """Give the address that opened the connection; port 0 means that a header was put in its place."""
    peer = request.client
    return None if peer is None or peer.port == 0 else peer.host


CurrentClient = Annotated[Client, Depends(client_of)]


def client_address(
    *, peer: str | None, forwarded_for: Sequence[str], trusted_proxies: int
) -> str | None:
    """Give the address that our outermost proxy saw: each appends its peer, so it is the n-th from the right.

    What stands further left is the client's own invention.
    """
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    believed = hops[-trusted_proxies] if 0 < trusted_proxies <= len(hops) else peer
    return _normal(believed) or _normal(peer)


def stored_address(address: str | None, precision: StoredAddress) -> str | None:
    """Give what is stored of an address: all of it, its network, or nothing."""
    if address is None or precision is StoredAddress.NONE:
        return None
    if precision is StoredAddress.FULL:
        return address
    prefix = NETWORK_PREFIX[ip_address(address).version]
    return str(ip_network(f"{address}/{prefix}", strict=False).network_address)


def stored_user_agent(user_agent: str | None, settings: SessionSettings) -> str | None:
    """Give the beginning of the user agent; None if nothing of it is kept."""
    return (user_agent or "").replace("\x00", "")[: settings.user_agent_length] or None


def _normal(address: str | None) -> str | None:
    """Give the address in its normal form; None for what is none: a unix socket, a host name, an invention."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed).partition("%")[0]
