"""What libpq is told, decided without a connection."""

import pytest

from holdfast.engine.connection.connection_parameters import (
    ConnectionParameters,
    connection_parameters,
)
from holdfast.engine.connection.reach import Reach
from holdfast.engine.connection.tls import TlsParameters, tls_parameters
from holdfast.engine.profiles import Tls
from holdfast.engine.settings import Settings

OFF = TlsParameters(sslmode="disable")
NOTHING = TlsParameters()
VERIFY_FULL = TlsParameters(sslmode="verify-full", sslrootcert="/ca.pem", gssencmode="disable")
CHANNEL_BINDING = TlsParameters(
    sslmode="require",
    channel_binding="require",
    require_auth="scram-sha-256",
    gssencmode="disable",
)
ENCRYPTED = TlsParameters(sslmode="require", gssencmode="disable")


@pytest.mark.parametrize(
    ("tls", "ca_file", "on_socket", "on_loopback", "on_network"),
    [
        (Tls.REQUIRED, "/ca.pem", NOTHING, VERIFY_FULL, VERIFY_FULL),
        (Tls.REQUIRED, None, NOTHING, CHANNEL_BINDING, CHANNEL_BINDING),
        (Tls.REMOTE, "/ca.pem", OFF, OFF, VERIFY_FULL),
        (Tls.REMOTE, None, OFF, OFF, CHANNEL_BINDING),
        (Tls.ENCRYPT_ONLY, "/ca.pem", NOTHING, ENCRYPTED, ENCRYPTED),
        (Tls.ENCRYPT_ONLY, None, NOTHING, ENCRYPTED, ENCRYPTED),
        (Tls.OFF, "/ca.pem", OFF, OFF, OFF),
        (Tls.OFF, None, OFF, OFF, OFF),
    ],
)
def test_tls(
    tls: Tls,
    ca_file: str | None,
    on_socket: TlsParameters,
    on_loopback: TlsParameters,
    on_network: TlsParameters,
) -> None:
    """The whole decision: setting, CA, distance."""
    expected = {
        Reach.SOCKET: on_socket,
        Reach.LOOPBACK: on_loopback,
        Reach.NETWORK: on_network,
    }
    assert {
        reach: tls_parameters(tls, reach=reach, ca_file=ca_file, pooler=False) for reach in Reach
    } == expected


def test_all_from_the_settings() -> None:
    """Production without a CA, one host."""
    settings = Settings(url="postgresql://app@db/shop", application_name="shop")
    assert settings.url is not None
    assert connection_parameters(settings, url=settings.url, ca_file=None) == ConnectionParameters(
        application_name="shop",
        connect_timeout=2,
        tcp_user_timeout=5000,
        keepalives_idle=30,
        keepalives_interval=5,
        keepalives_count=3,
        options=(
            "-c statement_timeout=30000 -c lock_timeout=5000 "
            "-c idle_in_transaction_session_timeout=60000"
        ),
        target_session_attrs=None,
        tls=CHANNEL_BINDING,
    )


def test_several_hosts_want_the_one_that_writes() -> None:
    """After a failover the old primary answers too."""
    settings = Settings(url="postgresql://app@one,two/shop")
    assert settings.url is not None
    parameters = connection_parameters(settings, url=settings.url, ca_file=None)
    assert parameters.target_session_attrs == "read-write"


def test_the_url_beats_the_settings_except_for_tls() -> None:
    """`options` are joined, and of one parameter given twice the server takes the later."""
    query = "connect_timeout=9&options=-c%20lock_timeout%3D1&channel_binding=disable"
    settings = Settings(url=f"postgresql://app@db/shop?{query}")
    assert settings.url is not None
    parameters = connection_parameters(settings, url=settings.url, ca_file=None)
    assert parameters.as_arguments(settings.url) == {
        "application_name": "holdfast",
        "tcp_user_timeout": 5000,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": (
            "-c statement_timeout=30000 -c lock_timeout=5000 "
            "-c idle_in_transaction_session_timeout=60000 -c lock_timeout=1"
        ),
        "sslmode": "require",
        "channel_binding": "require",
        "require_auth": "scram-sha-256",
        "gssencmode": "disable",
    }


def test_a_pooler_takes_no_options() -> None:
    """PgBouncer refuses them; the timeouts are set after connecting."""
    settings = Settings(url="postgresql://app@db/shop", pooler=True, tls_ca="/ca.pem")
    assert settings.url is not None
    parameters = connection_parameters(settings, url=settings.url, ca_file="/ca.pem")
    assert (parameters.options, parameters.tls) == (None, VERIFY_FULL)
