"""Finds the file with the system's certificate authorities, for `sslrootcert`.

libpq's own `sslrootcert=system` asks its OpenSSL, and the one inside psycopg's binary wheel looks into a
folder that does not exist: every server is refused. So the file is named instead.
"""

import ssl
from pathlib import Path

import certifi

# Debian, Red Hat, SUSE, Alpine; administrators add a company's own authorities to these files.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_ca_file() -> str:
    """Find the file: SSL_CERT_FILE when set, else the distribution's, else certifi's."""
    default = ssl.get_default_verify_paths().cafile
    found = (bundle for bundle in BUNDLES if Path(bundle).is_file())
    return default or next(found, certifi.where())


def ca_file(named: str | None) -> str | None:
    """Turn the setting HOLDFAST_TLS_CA into a file: `system` is looked up, a path stays."""
    return system_ca_file() if named == "system" else named
