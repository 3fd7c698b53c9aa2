"""How far away a server is, judged by the host names: a socket, this machine, the network."""

from collections.abc import Sequence
from enum import Enum
from ipaddress import ip_address


class Reach(Enum):
    """How far away the server is; of several hosts the farthest counts."""

    SOCKET = "socket"
    LOOPBACK = "loopback"
    NETWORK = "network"


def reach_of(hosts: Sequence[str]) -> Reach:
    """Say how far away these hosts are. No host counts as NETWORK: libpq may take one from PGHOST or a service file."""
    if not hosts or not all(map(_is_local, hosts)):
        return Reach.NETWORK
    return Reach.SOCKET if all(map(_is_socket, hosts)) else Reach.LOOPBACK


def _is_socket(host: str) -> bool:
    return host.startswith(("/", "@"))


def _is_local(host: str) -> bool:
    if _is_socket(host) or host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
