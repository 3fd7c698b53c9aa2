"""The two tokens of a session: their form, their keys, and the digest that is all we store.

Refresh token: `hfr_` + base64url(version 1 | session id 16 | generation 4 | secret 32 | tag 16); where the
database is divided by user, with the user's id 16 behind the secret, as version 2. The
tag shows that *we* issued it, so a guess with a known session id revokes nothing, and a spent token is
recognised without a table of spent tokens (RFC 9700 §4.14.2, implementation note). The secret of each
generation is derived from the one before, the server key and a nonce in the row: every holder of the
parent gets the same child, while the row alone, or the key alone, gives nobody a token.

Access token: a JWT (RFC 9068) that names the session. It is a ticket to ask, never an answer: who it
is and whether the session lives is read from the database each time.
"""

import hashlib
import hmac
import json
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from uuid import UUID

from pydantic import SecretStr

PREFIX = "hfr_"
VERIFICATION_PREFIX = "hfv_"
EMAIL_PREFIX = "hfe_"
BODY = struct.Struct(">B16sI32s")
VERSION = 1
WITH_OWNER = struct.Struct(">B16sI32s16s")  # where sessions are divided by user: whose it is
VERSION_WITH_OWNER = 2
TAG_LENGTH = 16
LONGEST = 128  # characters; ours have 96, or 118
SECRET_LENGTH = 32
NONCE_LENGTH = 16
AUDIENCE = "marketplace"
# HMAC with SHA-256 (RFC 7518 §3.2), an access token (RFC 9068).
ACCESS_HEADER = urlsafe_b64encode(b'{"alg":"HS256","typ":"at+jwt"}').rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKeys:
    """One key for each purpose, all from the server key (HKDF, RFC 5869)."""

    tag: bytes
    successor: bytes
    access: bytes

    def __repr__(self) -> str:
        return "TokenKeys(...)"

    others: "tuple[TokenKeys, ...]" = ()  # whose tokens are accepted, too, while keys are changed

    @property
    def accepted(self) -> "tuple[TokenKeys, ...]":
        """The keys with which everything is made, followed by the others."""
        return (self, *self.others)

    @classmethod
    def of(cls, server_key: SecretStr, *others: SecretStr) -> Self:
        """Derive the keys: the same in every process that has the same server key."""
        extracted = _hmac(bytes(32), server_key.get_secret_value().encode())
        tag, successor, access = (
            _hmac(extracted, label + b"\x01")
            for label in (b"refresh tag", b"refresh successor", b"access")
        )
        accepted = tuple(cls.of(other) for other in others)
        return cls(tag=tag, successor=successor, access=access, others=accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """One generation of the token of one session."""

    session_id: UUID
    generation: int
    secret: bytes
    user_id: UUID | None = None  # in a token that says whose it is

    def __repr__(self) -> str:
        return f"RefreshToken({self.session_id}, generation {self.generation}, ...)"


def first_token(session_id: UUID, *, user_id: UUID | None = None) -> RefreshToken:
    """Make generation 0, whose secret comes from nowhere. With a user it names its owner."""
    secret = secrets.token_bytes(SECRET_LENGTH)
    return RefreshToken(session_id=session_id, generation=0, secret=secret, user_id=user_id)


def successor(token: RefreshToken, *, nonce: bytes, keys: TokenKeys) -> RefreshToken:
    """Make the one next generation of a token, the same each time for the same nonce."""
    generation = token.generation + 1
    message = token.session_id.bytes + struct.pack(">I", generation) + nonce + token.secret
    return RefreshToken(
        session_id=token.session_id,
        generation=generation,
        secret=_hmac(keys.successor, message),
        user_id=token.user_id,
    )


def new_nonce() -> bytes:
    """Make the random bytes that one rotation adds."""
    return secrets.token_bytes(NONCE_LENGTH)


def seal(token: RefreshToken, *, keys: TokenKeys) -> str:
    """Write a refresh token as the client gets it."""
    parts = (token.session_id.bytes, token.generation, token.secret)
    if token.user_id is None:
        body = BODY.pack(VERSION, *parts)
    else:
        body = WITH_OWNER.pack(VERSION_WITH_OWNER, *parts, token.user_id.bytes)
    return PREFIX + urlsafe_b64encode(body + _tag(body, keys)).rstrip(b"=").decode()


def unseal(text: str, *, keys: TokenKeys) -> RefreshToken | None:
    """Read a refresh token; None for anything that we did not issue with one of the accepted keys."""
    return next(filter(None, (_unseal(text, keys=each) for each in keys.accepted)), None)


def _unseal(text: str, *, keys: TokenKeys) -> RefreshToken | None:
    if not text.startswith(PREFIX) or not text.isascii() or len(text) > LONGEST:
        return None
    encoded = text.removeprefix(PREFIX)
    try:
        raw = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except NotBase64:
        return None
    body, tag = raw[:-TAG_LENGTH], raw[-TAG_LENGTH:]
    if len(body) not in {BODY.size, WITH_OWNER.size}:
        return None
    if not hmac.compare_digest(_tag(body, keys), tag):
        return None
    _, session_id, generation, secret, *owner = (
        BODY if len(body) == BODY.size else WITH_OWNER
    ).unpack(body)
    token = RefreshToken(
        session_id=UUID(bytes=session_id),
        generation=generation,
        secret=secret,
        user_id=UUID(bytes=owner[0]) if owner else None,
    )
    # Base64 has several spellings of the same bytes; the digest in the row is of this one, and of its version.
    return token if seal(token, keys=keys) == text else None


def digest(token: str) -> bytes:
    """Give what the database stores of a token: 256 random bits need no slow hash (ASVS 6.5.2)."""
    return hashlib.sha256(token.encode()).digest()


def new_mailed_token(user_id: UUID, *, prefix: str) -> str:
    """Make 256 random bits after the key of the row with their digest; the prefix names the purpose."""
    raw = user_id.bytes + secrets.token_bytes(SECRET_LENGTH)
    return prefix + urlsafe_b64encode(raw).decode()


def user_of_mailed_token(token: str, *, prefix: str) -> UUID | None:
    """Give the user whom a token of a letter is about; only its digest shows whether it is right."""
    if not token.startswith(prefix) or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token.removeprefix(prefix))
    except NotBase64:
        return None
    return UUID(bytes=raw[:16]) if len(raw) == 16 + SECRET_LENGTH else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """The content of an access token: session, user, and its end in seconds since 1970."""

    session_id: UUID
    user_id: UUID
    expires_at: int


def issue_access_token(
    session_id: UUID, *, user_id: UUID, now: int, lifetime: timedelta, keys: TokenKeys
) -> str:
    """Issue an access token. `now` is the database's, in seconds since 1970."""
    claims = {
        "aud": AUDIENCE,
        "sub": user_id.hex,
        "sid": session_id.hex,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
    }
    # Written by hand, as it is read: each refresh does it.
    said = _base64(json.dumps(claims, separators=(",", ":")).encode())
    signed = f"{ACCESS_HEADER}.{said}"
    return f"{signed}.{_base64(_hmac(keys.access, signed.encode()))}"


def read_access_token(text: str, *, keys: TokenKeys) -> AccessToken | None:
    """Read an access token; None for anything that we did not issue.

    Whether it has expired is for the clock of the database to say.
    """
    return next(filter(None, (_read_access_token(text, keys=each) for each in keys.accepted)), None)


def _read_access_token(text: str, *, keys: TokenKeys) -> AccessToken | None:
    """Read by hand, as each request does it: the header must be exactly ours, so no other algorithm works."""
    signed, _, signature = text.rpartition(".")
    header, _, claims = signed.partition(".")
    if header != ACCESS_HEADER or not text.isascii():
        return None
    if not hmac.compare_digest(_base64(_hmac(keys.access, signed.encode())), signature):
        return None
    try:
        said = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if said["aud"] != AUDIENCE:
            return None
        return AccessToken(
            session_id=UUID(str(said["sid"])),
            user_id=UUID(str(said["sub"])),
            expires_at=int(said["exp"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tag(body: bytes, keys: TokenKeys) -> bytes:
    return _hmac(keys.tag, body)[:TAG_LENGTH]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
