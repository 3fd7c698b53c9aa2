"""Passwords: argon2id (RFC 9106), in threads and a few at a time, so that nobody else waits for it."""

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from pydantic import SecretStr

from marketplace.settings import PasswordSettings


class Passwords:
    """Hashes and verifies with the parameters of the settings."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.passes,
            memory_cost=settings.memory_kib,
            parallelism=settings.lanes,
        )
        self._turns = CapacityLimiter(settings.at_once)
        self._decoy: str | None = None

    async def hash(self, password: SecretStr) -> str:
        """With a salt of its own."""
        return await to_thread.run_sync(
            self._hasher.hash, password.get_secret_value(), limiter=self._turns
        )

    async def is_password(self, password: SecretStr, *, password_hash: str | None) -> bool:
        """Takes as long when there is no such user: the time tells nobody who has an account."""
        if password_hash is None:
            self._decoy = self._decoy or await self.hash(SecretStr("nobody's"))
        known = password_hash or self._decoy or ""
        is_right = await to_thread.run_sync(
            self._verify, known, password.get_secret_value(), limiter=self._turns
        )
        return is_right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
