"""Decides how TLS is used on the way to a server, in libpq's parameters. Pure."""

from dataclasses import dataclass

from holdfast.engine.connection.reach import Reach
from holdfast.engine.profiles import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsParameters:
    """TLS in libpq's parameters; None leaves libpq's default."""

    sslmode: str | None = None
    sslrootcert: str | None = None
    channel_binding: str | None = None
    require_auth: str | None = None
    gssencmode: str | None = None


def tls_parameters(tls: Tls, *, reach: Reach, ca_file: str | None, pooler: bool) -> TlsParameters:
    """Decide libpq's TLS parameters from the setting and from how far away the server is."""
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
