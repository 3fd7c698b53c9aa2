"""The keys of the marketplace: one secret is enough, each purpose has a key derived from it (HKDF, RFC 5869)."""

import hmac
from base64 import urlsafe_b64encode
from functools import cache

from pydantic import SecretStr

DISTINCT = 10  # characters that a key has at least: 32 random ones of any alphabet have more


@cache
def derived_key(secret: SecretStr, *, purpose: str) -> SecretStr:
    """The key for a purpose: the same in every process that has the secret, and it tells nothing of others."""
    extracted = hmac.digest(bytes(32), secret.get_secret_value().encode(), "sha256")
    key = hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")
    return SecretStr(urlsafe_b64encode(key).decode())


def is_weak(secret: SecretStr) -> bool:
    """Whether a key was not made by chance: few different characters, or one piece again and again."""
    text = secret.get_secret_value()
    halves = range(1, len(text) // 2 + 1)
    is_repeated = any(text == (text[:size] * len(text))[: len(text)] for size in halves)
    return len(set(text)) < DISTINCT or is_repeated or text != text.strip()
