"""The keys of the marketplace: from one secret, a key for each purpose is derived (HKDF, RFC 5869)."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

DISTINCT = 10  # characters that a key has at least: 32 random ones of any alphabet have more
NAME, NONCE = 4, 12  # bytes


@cache
def derived_key(secret: SecretStr, *, purpose: str) -> SecretStr:
    """Derive the key for a purpose: the same in every process with the secret, and it reveals no other."""
    extracted = hmac.digest(bytes(32), secret.get_secret_value().encode(), "sha256")
    key = hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")
    return SecretStr(urlsafe_b64encode(key).decode())


class CannotOpen(Exception):
    """A sealed text was sealed with none of our keys, or about something else."""


class Vault:
    """Encrypts what the database keeps (AES-256-GCM) with the first key; opens what any of the keys has sealed.

    A sealed text begins with four bytes that tell the key, and twelve that are never the same.
    """

    def __init__(self, keys: Sequence[SecretStr], *, purpose: str) -> None:
        self._ciphers = {}
        for key in keys:
            raw = hmac.digest(key.get_secret_value().encode(), purpose.encode(), "sha256")
            name = hmac.digest(raw, b"name", "sha256")[:NAME]
            self._ciphers[name] = AESGCM(hmac.digest(raw, b"key", "sha256"))
        self.newest = next(iter(self._ciphers))

    def seal(self, text: str, *, about: bytes) -> bytes:
        """Encrypt a text; it can be opened only together with what it is `about`."""
        nonce = secrets.token_bytes(NONCE)
        return self.newest + nonce + self._ciphers[self.newest].encrypt(nonce, text.encode(), about)

    def open(self, sealed: bytes, *, about: bytes) -> str:
        """Decrypt a text. Raises `CannotOpen`."""
        name, nonce, encrypted = sealed[:NAME], sealed[NAME : NAME + NONCE], sealed[NAME + NONCE :]
        try:
            return self._ciphers[name].decrypt(nonce, encrypted, about).decode()
        except (KeyError, InvalidTag, ValueError) as error:
            raise CannotOpen from error


def is_weak(secret: SecretStr) -> bool:
    """Whether a key was not made by chance: few different characters, or one piece again and again."""
    text = secret.get_secret_value()
    halves = range(1, len(text) // 2 + 1)
    is_repeated = any(text == (text[:size] * len(text))[: len(text)] for size in halves)
    return len(set(text)) < DISTINCT or is_repeated or text != text.strip()
