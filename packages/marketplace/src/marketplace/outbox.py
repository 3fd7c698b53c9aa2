"""The outbox of letters: queued in the transaction that is their reason, sent at least once, or given up on.

Nothing is mailed for what was rolled back, and nothing is forgotten that was committed. A letter that is under way
is taken for a while by moving its next attempt; who dies meanwhile leaves it to be sent again.
"""

import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from holdfast import Profile
from marketplace.database import Transactions
from marketplace.entities import Letter, LetterKind
from marketplace.letters import TEMPLATES
from marketplace.mail import Mail
from marketplace.secrets import CannotOpen, Vault
from marketplace.settings import Settings

logger = logging.getLogger(__name__)

AT_ONCE = 10  # letters of one batch, sent one after the other
MOST_ATTEMPTS = 12  # over about half a day
TAKEN = timedelta(minutes=5)  # more than a batch takes whose server answers slowly
# A row: a letter that is due, taken for as long as its batch may take. Others skip it.
TAKE = """
    UPDATE letters SET attempts = attempts + 1, next_attempt_at = now() + %(taken)s
    WHERE id IN (SELECT id FROM letters WHERE gave_up_at IS NULL AND next_attempt_at <= now()
                 ORDER BY next_attempt_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)
    RETURNING id, kind, recipient, sealed, attempts
"""
SENT = "DELETE FROM letters WHERE id = %(id)s"
FAILED = "UPDATE letters SET last_error = %(error)s, next_attempt_at = now() + %(pause)s WHERE id = %(id)s"
GIVE_UP = "UPDATE letters SET last_error = %(error)s, gave_up_at = now() WHERE id = %(id)s"
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=2)


def pause_after(attempts: int) -> timedelta:
    """Give the pause after an attempt: twice as long after each one."""
    return min(FIRST_PAUSE * (1 << (attempts - 1)), LONGEST_PAUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """The letters of one application."""

    mail: Mail
    vault: Vault

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make the outbox with the mail server and keys of the settings."""
        mail = Mail(
            url=settings.mail_url,
            sender=settings.mail_from,
            requires_tls=settings.profile is Profile.PRODUCTION,
        )
        return cls(mail=mail, vault=Vault(settings.server_keys, purpose="letters"))

    async def put(
        self,
        transaction: AsyncSession,
        kind: LetterKind,
        *,
        to: str,
        user_id: UUID | None,
        **values: str,
    ) -> None:
        """Queue a letter, to be mailed once the transaction is committed."""
        letter_id = uuid7()
        sealed = self.vault.seal(json.dumps(values), about=letter_id.bytes)
        await transaction.execute(
            insert(Letter).values(
                id=letter_id, user_id=user_id, kind=kind, recipient=to, sealed=sealed
            )
        )

    async def deliver(self, transactions: Transactions) -> int:
        """Send what is due; gives how many were sent. No connection is held while a server is waited for."""
        sent = 0
        while taken := await self._take(transactions):
            for letter_id, kind, recipient, sealed, attempts in taken:
                error = await self._send(letter_id, LetterKind(kind), recipient, sealed)
                await self._settle(transactions, letter_id, error=error, attempts=attempts)
                sent += error is None
        return sent

    async def _take(self, transactions: Transactions) -> list[tuple[UUID, str, str, bytes, int]]:
        async with transactions.statements("letters") as connection:
            cursor = await connection.execute(TAKE, {"taken": TAKEN, "most": AT_ONCE})
            return await cursor.fetchall()

    async def _send(
        self, letter_id: UUID, kind: LetterKind, recipient: str, sealed: bytes
    ) -> str | None:
        try:
            values = json.loads(self.vault.open(sealed, about=letter_id.bytes))
        except CannotOpen:
            return "CannotOpen"  # the key that it was sealed with is no longer accepted
        template = TEMPLATES[kind]
        text = template.text.format(**values)
        return await self.mail.send(to=recipient, subject=template.subject, text=text)

    async def _settle(
        self, transactions: Transactions, letter_id: UUID, *, error: str | None, attempts: int
    ) -> None:
        async with transactions.statements("letters") as connection:
            if error is None:
                await connection.execute(SENT, {"id": letter_id})
                return
            values = {"id": letter_id, "error": error[:64]}
            if attempts >= MOST_ATTEMPTS:
                await connection.execute(GIVE_UP, values)
            else:
                await connection.execute(FAILED, {**values, "pause": pause_after(attempts)})
        if attempts >= MOST_ATTEMPTS:
            logger.error("a letter was given up on", extra={"letter": letter_id.hex})
