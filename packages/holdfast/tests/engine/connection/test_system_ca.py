"""`system` as a file that exists, with the OpenSSL of the binary wheel too."""

from pathlib import Path

import certifi
import pytest

from holdfast.engine.connection import system_ca
from holdfast.engine.connection.system_ca import ca_file, system_ca_file


def test_a_file_stays() -> None:
    """Nothing to look up; also no CA at all."""
    assert (ca_file("/ca.pem"), ca_file(None)) == ("/ca.pem", None)


def test_system_is_a_file_with_certificates() -> None:
    """Whatever the machine."""
    assert "BEGIN CERTIFICATE" in Path(ca_file("system") or "").read_text()


def test_ssl_cert_file_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As for every program that uses OpenSSL."""
    own = tmp_path / "own.pem"
    own.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert system_ca_file() == str(own)


def test_without_a_distribution_s_file_there_is_certifi(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare container image."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setattr(system_ca, "BUNDLES", ("/nowhere",))
    assert system_ca_file() == certifi.where()
