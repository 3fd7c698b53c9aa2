"""Checks of the way to the server: TLS, passwords, timeouts, what is in between."""

from pathlib import Path

from holdfast.doctor.check import (
    Check,
    Evidence,
    Verdict,
    fine,
    refuse,
    refuse_in_production,
    warn,
    warn_in_production,
)
from holdfast.engine.connection.reach import Reach
from holdfast.engine.connection.system_ca import ca_file
from holdfast.engine.profiles import Tls
from holdfast.errors.sizes import counted

READ_WRITE = ("read-write", "primary")
OLD_TLS = ("SSLv3", "TLSv1", "TLSv1.1")
# The remedy for a connection that env.py makes, which reads none of our settings.
VERIFIED = "In the URL of env.py: sslmode=verify-full and sslrootcert=/path/to/ca.pem (asyncpg: ssl=verify-full)."
ON_A_SOCKET = "a unix socket: nothing is in between"


def _sslmode(evidence: Evidence) -> Verdict | None:
    sslmode = evidence.application.libpq.get("sslmode")
    if sslmode is None or evidence.application.way is Reach.SOCKET:
        return None
    strict = sslmode == "verify-full" or (sslmode == "require" and _binds_channel(evidence))
    if strict or evidence.settings.tls is not Tls.REQUIRED:
        return fine(f"sslmode={sslmode}")  # what was asked for weaker by name is the next check's
    return refuse_in_production(
        evidence,
        f"sslmode={sslmode} accepts servers that prove nothing",
        "Take sslmode out of DATABASE_URL; name a CA if there is one: HOLDFAST_TLS_CA=system"
        if evidence.settings.url is not None
        else VERIFIED,
    )


def _authenticated(evidence: Evidence) -> Verdict | None:
    way, libpq = evidence.application.way, evidence.application.libpq
    if way is Reach.SOCKET or not libpq:
        return None
    if evidence.unknown_root_refused is False:
        return refuse(
            "an unknown certificate authority was accepted: TLS proves nothing here",
            "Name the CA of the server: HOLDFAST_TLS_CA=/path/to/ca.pem, or system."
            if evidence.settings.url is not None
            else VERIFIED,
        )
    if libpq.get("sslmode") == "verify-full":
        tried = ", an unknown one was refused" if evidence.unknown_root_refused else ""
        return fine(f"by its certificate, which a CA of {libpq.get('sslrootcert')} signed{tried}")
    if _binds_channel(evidence):
        return fine("by the password, bound to this TLS connection")
    return warn_in_production(
        evidence,
        "the server is not authenticated: a man in the middle reads and changes everything",
        "Set HOLDFAST_TLS=required, and HOLDFAST_TLS_CA=system or the file of the server's CA."
        if evidence.settings.url is not None
        else VERIFIED,
    )


def _encrypted(evidence: Evidence) -> Verdict | None:
    found, server = evidence.application, evidence.application.server
    if found.way is Reach.SOCKET:
        return None
    if not (server.encrypted if found.encrypted_here is None else found.encrypted_here):
        remedy = (
            "Set HOLDFAST_TLS=required and no sslmode in the URL."
            if evidence.settings.url is not None
            else VERIFIED
        )
        if found.way is Reach.LOOPBACK:
            return warn_in_production(
                evidence,
                "passwords and data are not encrypted; the other end is on this machine",
                remedy,
            )
        return refuse_in_production(
            evidence, "passwords and data cross the network in the clear", remedy
        )
    if not server.encrypted:
        return warn_in_production(
            evidence,
            "TLS ends before the server: pg_stat_ssl knows of none on its side",
            "See that what ends it, a pooler or a proxy, goes on in TLS or on a socket.",
        )
    if server.tls_version in OLD_TLS:
        return refuse_in_production(
            evidence,
            f"the connection speaks {server.tls_version}",
            "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.2'; SELECT pg_reload_conf();",
        )
    return fine(f"pg_stat_ssl says {server.tls_version}")


def _socket(evidence: Evidence) -> Verdict | None:
    return fine(ON_A_SOCKET) if evidence.application.way is Reach.SOCKET else None


def _system_ca(evidence: Evidence) -> Verdict | None:
    file = ca_file(evidence.settings.tls_ca)
    if file is None:
        return None
    if Path(file).is_file():
        return fine(file)
    return refuse(f"{file} does not exist", "Correct HOLDFAST_TLS_CA.")


def _channel_binding(evidence: Evidence) -> Verdict | None:
    found = evidence.application
    if found.way is Reach.SOCKET or not found.encrypted_here:
        return None
    if found.libpq.get("channel_binding") == "require":
        return fine("required")
    if found.libpq.get("sslmode") == "verify-full":
        return fine("not needed: the certificate is verified")
    return warn_in_production(
        evidence,
        "not required, and no certificate is verified",
        "Connect to the server itself, or name the CA of the pooler: HOLDFAST_TLS_CA",
    )


def _password_asked(evidence: Evidence) -> Verdict | None:
    found = evidence.application
    if found.way is Reach.SOCKET or found.gave_password is None or "sslcert" in found.libpq:
        return None
    if found.gave_password:
        return fine("the server asked for a password")
    return warn_in_production(
        evidence,
        "the server asked for no password: anybody who names this role gets in",
        "In pg_hba.conf: scram-sha-256 instead of trust; then SELECT pg_reload_conf();",
    )


def _pooler(evidence: Evidence) -> Verdict:
    behind, said = evidence.application.is_behind_pooler, evidence.settings.is_pooled
    if not behind:
        return fine(
            "none" if not said else "none on this connection, though HOLDFAST_POOLER is set"
        )
    if said:
        return fine("a pooler, and it is taken into account")
    return refuse_in_production(
        evidence,
        "a pooler is in between: prepared statements and SET reach other sessions than ours",
        "Say so: HOLDFAST_POOLER=transaction; or connect to the server itself.",
    )


def _kernel_timeout(evidence: Evidence) -> Verdict | None:
    milliseconds = evidence.application.tcp_user_timeout
    if milliseconds is None:
        return None
    if milliseconds:
        return fine(f"a silent connection is given up after {milliseconds} ms")
    return warn(
        "the kernel waits a quarter of an hour for a silent network",
        "tcp_user_timeout=5000 in the URL, or connect with holdfast.engine",
    )


def _connect_timeout(evidence: Evidence) -> Verdict | None:
    libpq = evidence.application.libpq
    if not libpq or evidence.application.way is Reach.SOCKET:
        return None
    seconds, hosts = int(libpq.get("connect_timeout", 0)), _hosts(evidence)
    if seconds <= 0:
        return warn("connecting has no limit", "connect_timeout=2 in the URL")
    return fine(f"{seconds} s for each of {counted(len(hosts), 'host', 'hosts')}")


def _several_hosts(evidence: Evidence) -> Verdict | None:
    wanted = evidence.application.libpq.get("target_session_attrs", "any")
    if len(_hosts(evidence)) < 2:
        return None
    if wanted in READ_WRITE:
        return fine(f"target_session_attrs={wanted}")
    return warn(
        f"several hosts and target_session_attrs={wanted}: a standby may answer",
        "target_session_attrs=read-write in the URL",
    )


def _hosts(evidence: Evidence) -> list[str]:
    return evidence.application.libpq.get("host", "").split(",")


def _binds_channel(evidence: Evidence) -> bool:
    return evidence.application.libpq.get("channel_binding") == "require"


CHECKS = (
    Check(number=5, name="sslmode", title="sslmode in force", judge=_sslmode, at_start=True),
    Check(number=6, name="server", title="the server is authenticated", judge=_authenticated),
    Check(number=7, name="tls", title="encrypted", judge=_encrypted, at_start=True),
    Check(number=8, name="socket", title="a socket has no TLS", judge=_socket),
    Check(number=9, name="system-ca", title="certificate authorities", judge=_system_ca),
    Check(number=10, name="channel-binding", title="channel binding", judge=_channel_binding),
    Check(number=11, name="password", title="the server asks who we are", judge=_password_asked),
    Check(number=14, name="pooler", title="a pooler in between", judge=_pooler, at_start=True),
    Check(number=19, name="network-timeout", title="a silent network", judge=_kernel_timeout),
    Check(number=20, name="connect-timeout", title="time to connect", judge=_connect_timeout),
    Check(number=21, name="several-hosts", title="the writer of several", judge=_several_hosts),
)
