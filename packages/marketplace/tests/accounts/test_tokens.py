"""Tokens: only what we issued is taken, and each has one successor."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from uuid import UUID

import jwt
import pytest
from pydantic import SecretStr

from marketplace.accounts import tokens
from marketplace.accounts.tokens import (
    TokenKeys,
    first_token,
    issue_access_token,
    new_nonce,
    read_access_token,
    seal,
    successor,
    unseal,
)

FIRST = SecretStr("a key of the tests, long enough to be one")
KEYS = TokenKeys.of(FIRST)
OTHER = TokenKeys.of(SecretStr("another key of the tests, long enough too"))
SESSION = UUID("018f0000-0000-7000-8000-000000000001")
USER = UUID("018f0000-0000-7000-8000-000000000002")
TOKEN = first_token(SESSION)
TEXT = seal(TOKEN, keys=KEYS)


def test_what_was_sealed_comes_out() -> None:
    """With a prefix by which scanners of secrets know it."""
    assert TEXT.startswith("hfr_")
    assert len(TEXT) == 96
    assert unseal(TEXT, keys=KEYS) == TOKEN


@pytest.mark.parametrize("position", range(4, len(TEXT), 7))
def test_no_character_can_be_changed(position: int) -> None:
    """Not of the session, the generation, the secret or the tag."""
    other = "A" if TEXT[position] != "A" else "B"
    assert unseal(TEXT[:position] + other + TEXT[position + 1 :], keys=KEYS) is None


def test_what_is_no_token() -> None:
    """Of any form."""
    cut, longer = TEXT[:-4], TEXT + "AAAA"
    for text in ("", "hfr_", TEXT[4:], cut, longer, TEXT + "=", "hfr_é", "hfr_" + "A" * 200):
        assert unseal(text, keys=KEYS) is None


def test_another_key() -> None:
    """Neither opens the tokens of this one, nor finds their successors."""
    assert unseal(TEXT, keys=OTHER) is None
    nonce = new_nonce()
    assert successor(TOKEN, nonce=nonce, keys=KEYS) != successor(TOKEN, nonce=nonce, keys=OTHER)


def test_one_successor_for_a_nonce() -> None:
    """The same each time; another for another nonce, and for another parent."""
    nonce = new_nonce()
    child = successor(TOKEN, nonce=nonce, keys=KEYS)
    assert child == successor(TOKEN, nonce=nonce, keys=KEYS)
    assert (child.session_id, child.generation) == (SESSION, 1)
    others = [
        successor(TOKEN, nonce=new_nonce(), keys=KEYS),
        successor(first_token(SESSION), nonce=nonce, keys=KEYS),
    ]
    assert child.secret not in {other.secret for other in others}


def test_nothing_shows_a_secret() -> None:
    """Not the token, not the keys."""
    assert repr(TOKEN) == f"RefreshToken({SESSION}, generation 0, ...)"
    assert repr(KEYS) == "TokenKeys(...)"


def access_token(**changes: object) -> str:
    issued = tokens.issue_access_token(
        SESSION, user_id=USER, now=1000, lifetime=timedelta(minutes=5), keys=KEYS
    )
    if not changes:
        return issued
    claims = jwt.decode(issued, options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, KEYS.access, "HS256", {"typ": "at+jwt"})


def test_an_access_token_names_its_session() -> None:
    """And its end, which the clock of the database is compared with."""
    read = tokens.read_access_token(access_token(), keys=KEYS)
    assert read == tokens.AccessToken(session_id=SESSION, user_id=USER, expires_at=1300)


def test_an_access_token_is_a_jwt() -> None:
    """Which any library reads that has the key (RFC 7519, RFC 9068)."""
    claims = jwt.decode(
        access_token(), KEYS.access, ["HS256"], {"verify_exp": False}, audience="marketplace"
    )
    assert (claims["sid"], claims["sub"]) == (SESSION.hex, USER.hex)
    assert jwt.get_unverified_header(access_token()) == {"alg": "HS256", "typ": "at+jwt"}


def test_an_access_token_that_is_not_ours() -> None:
    """Of another key, for another audience, with another algorithm or none, or not a token."""
    assert tokens.read_access_token(access_token(), keys=OTHER) is None
    header, claims, signature = access_token().split(".")
    unsigned = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for text in (
        access_token(aud="others"),
        jwt.encode({"aud": "marketplace", "exp": 1300}, KEYS.access, "HS256", {"typ": "at+jwt"}),
        jwt.encode({"sid": SESSION.hex, "exp": 1300}, KEYS.access, "HS256", {"typ": "at+jwt"}),
        f"{unsigned}.{claims}.",
        f"{unsigned}.{claims}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{claims}",
        f"{header}..{signature}",
        TEXT,
        "",
    ):
        assert tokens.read_access_token(text, keys=KEYS) is None


@pytest.mark.parametrize("session_id", ["", "x", "018f", 7])
def test_an_access_token_without_a_session(session_id: object) -> None:
    """Signed by us, as none ever was: refused all the same."""
    assert tokens.read_access_token(access_token(sid=session_id), keys=KEYS) is None


def test_a_mailed_token_names_its_user() -> None:
    """With 256 random bits behind the name."""
    token = tokens.new_mailed_token(USER, prefix="hfv_")
    assert tokens.user_of_mailed_token(token, prefix="hfv_") == USER
    assert len(urlsafe_b64decode(token.removeprefix("hfv_"))) == 48
    assert token != tokens.new_mailed_token(USER, prefix="hfv_")
    of_another_kind = tokens.new_mailed_token(USER, prefix="hfe_")
    for text in ("", "hfv_", token[:-4], token[4:], "hfv_é", of_another_kind):
        assert tokens.user_of_mailed_token(text, prefix="hfv_") is None


def test_two_keys_are_valid_at_a_time() -> None:
    """Whichever of the two a token was made with, refresh or access; a third is not."""
    both = TokenKeys.of(SecretStr("another key of the tests, long enough too"), FIRST)
    made_before = seal(TOKEN, keys=KEYS)
    assert unseal(made_before, keys=both) == TOKEN
    assert unseal(seal(TOKEN, keys=both), keys=OTHER) == TOKEN
    assert unseal(made_before, keys=OTHER) is None
    ticket = issue_access_token(
        TOKEN.session_id, user_id=TOKEN.session_id, now=1, lifetime=timedelta(1), keys=KEYS
    )
    assert read_access_token(ticket, keys=both) is not None
    assert read_access_token(ticket, keys=OTHER) is None
