"""Hashes passwords with argon2id (RFC 9106), in threads and a few at a time, so that nobody else waits for it."""

import re
from collections.abc import Sequence
from functools import partial

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from pydantic import SecretStr
from zxcvbn import zxcvbn

from marketplace.accounts.problems import PasswordTooShort, PasswordTooWeak
from marketplace.settings import PasswordSettings

STRONG = 3  # of 0 to 4: more than 10^8 guesses
JUDGED = 72  # characters: what follows makes no password weaker
PARTS = re.compile(r"[^0-9a-z]+", re.IGNORECASE)


class Passwords:
    """Hashes and verifies with the parameters of the settings."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._settings = settings
        self._hasher = PasswordHasher(
            time_cost=settings.passes,
            memory_cost=settings.memory_kib,
            parallelism=settings.lanes,
        )
        self._turns = CapacityLimiter(settings.at_once)
        self._decoy: str | None = None

    async def require_strong(self, password: SecretStr, *, about: Sequence[str]) -> None:
        """Refuse a new password that is short or soon guessed: zxcvbn knows lists of common ones.

        `about` is what anybody knows of its owner. Raises `PasswordTooShort`, `PasswordTooWeak`.
        """
        text = password.get_secret_value()
        if len(text) < self._settings.min_length:
            raise PasswordTooShort(min_length=self._settings.min_length)
        words = [*about, *(part for word in about for part in PARTS.split(word))]
        found = await to_thread.run_sync(
            partial(zxcvbn, text[:JUDGED], user_inputs=words), limiter=self._turns
        )
        if found["score"] < STRONG:
            raise PasswordTooWeak(hints=found["feedback"]["suggestions"])

    async def hash(self, password: SecretStr) -> str:
        """Hash a password, with a salt of its own."""
        return await to_thread.run_sync(
            self._hasher.hash, password.get_secret_value(), limiter=self._turns
        )

    async def is_password(self, password: SecretStr, *, password_hash: str | None) -> bool:
        """Whether the password is right; takes as long for an unknown user, so time reveals no account."""
        if password_hash is None:
            self._decoy = self._decoy or await self.hash(SecretStr("nobody's"))
        known = password_hash or self._decoy or ""
        is_right = await to_thread.run_sync(
            self._verify, known, password.get_secret_value(), limiter=self._turns
        )
        return is_right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
