"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes in case it is lost.

A code works once: the period it belongs to has to be later than that of the last one (RFC 6238 §5.2). All of it runs
in the transaction of the caller, who has locked the user.
"""

import hashlib
import hmac
import logging
import re
import secrets
from base64 import b32encode
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import pyotp
from pydantic import SecretStr
from sqlalchemy import Select, Update, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts.problems import (
    InvalidSecondFactor,
    NoSecondFactor,
    SecondFactorInForce,
    SecondFactorNeeded,
)
from marketplace.accounts.sessions import record
from marketplace.database import placement_of
from marketplace.entities import AuditedAction, RecoveryCode, SecondFactor, User
from marketplace.placement import Placement
from marketplace.secrets import CannotOpen, Vault

logger = logging.getLogger(__name__)

ISSUER = "marketplace"
PERIOD = 30  # seconds, as every authenticator has it
DRIFT = 1  # periods that a clock may be off, in either direction
RECOVERY_CODES = 10
SEALED_AT_ONCE = 500
DIGITS = re.compile(r"\d{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A secret that is not in force yet, and the same as a URI for a QR code."""

    secret: str
    uri: str


def step_of(code: str, *, secret: str, now: int) -> int | None:
    """Give the period that a code belongs to, near the one of `now`; None for a wrong code."""
    totp, current = pyotp.TOTP(secret, interval=PERIOD), now // PERIOD
    steps = range(current - DRIFT, current + DRIFT + 1)
    found = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)]
    return max(found, default=None)


async def offer(transaction: AsyncSession, user: User, *, vault: Vault) -> Offer:
    """Make a new secret, which waits to be confirmed. Raises `SecondFactorInForce`."""
    known = await transaction.scalar(_factor(user.id))
    if known is not None and known.confirmed_at is not None:
        raise SecondFactorInForce
    secret = pyotp.random_base32()
    factor = known or SecondFactor(user_id=user.id)
    factor.sealed_secret = vault.seal(secret, about=user.id.bytes)
    transaction.add(factor)
    uri = pyotp.TOTP(secret, interval=PERIOD).provisioning_uri(name=user.email, issuer_name=ISSUER)
    return Offer(secret=secret, uri=uri)


async def confirm(
    transaction: AsyncSession, user_id: UUID, *, code: SecretStr, vault: Vault
) -> list[str]:
    """Put the secret that waits in force, and give the recovery codes.

    Raises `NoSecondFactor`, `SecondFactorInForce`, `InvalidSecondFactor`.
    """
    factor = await transaction.scalar(_factor(user_id))
    if factor is None:
        raise NoSecondFactor
    if factor.confirmed_at is not None:
        raise SecondFactorInForce
    if not await _is_new_code(transaction, factor, code=code.get_secret_value(), vault=vault):
        raise InvalidSecondFactor
    factor.confirmed_at = func.now()  # the database's clock
    await transaction.execute(_marked(user_id, has_second_factor=True))
    await record(transaction, AuditedAction.USER_SECOND_FACTOR_ADDED, user_id=user_id)
    return await replace_recovery_codes(transaction, user_id)


async def prove(
    transaction: AsyncSession, user_id: UUID, *, code: SecretStr | None, vault: Vault
) -> None:
    """Check the code of a user with a second factor in force; do nothing if there is none.

    Raises `SecondFactorNeeded`, `InvalidSecondFactor`.
    """
    factor = await transaction.scalar(_factor(user_id))
    if factor is None or factor.confirmed_at is None:
        return
    if code is None:
        raise SecondFactorNeeded
    text = code.get_secret_value()
    if DIGITS.fullmatch(text):
        is_right = await _is_new_code(transaction, factor, code=text, vault=vault)
    else:
        is_right = await _use_recovery_code(transaction, user_id, text)
    if not is_right:
        raise InvalidSecondFactor


async def remove(
    transaction: AsyncSession, user_id: UUID, *, code: SecretStr, vault: Vault
) -> None:
    """Take the second factor out of force. Raises `NoSecondFactor`, `InvalidSecondFactor`."""
    await prove(transaction, user_id, code=code, vault=vault)
    await forget(transaction, user_id)
    await record(transaction, AuditedAction.USER_SECOND_FACTOR_REMOVED, user_id=user_id)


async def forget(transaction: AsyncSession, user_id: UUID) -> None:
    """Delete the secret and the recovery codes. Raises `NoSecondFactor`."""
    gone = delete(SecondFactor).where(SecondFactor.user_id == user_id)
    if await transaction.scalar(gone.returning(SecondFactor.user_id)) is None:
        raise NoSecondFactor
    await transaction.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    await transaction.execute(_marked(user_id, has_second_factor=False))


async def replace_recovery_codes(transaction: AsyncSession, user_id: UUID) -> list[str]:
    """Make ten new recovery codes; those before no longer work."""
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    await transaction.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    rows = [{"user_id": user_id, "code_hash": _digest(code)} for code in codes]
    await transaction.execute(insert(RecoveryCode), rows)
    return codes


async def recovery_codes_left(transaction: AsyncSession, user_id: UUID) -> int:
    """Count the recovery codes that were not used."""
    left = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user_id)
    return await transaction.scalar(left) or 0


async def seal_anew(transaction: AsyncSession, *, vault: Vault) -> int:
    """While keys are changed: encrypt with the newest key what another has sealed; gives how many."""
    due = (
        select(SecondFactor)
        .where(func.substr(SecondFactor.sealed_secret, 1, len(vault.newest)) != vault.newest)
        .limit(SEALED_AT_ONCE)
    )
    if placement_of(transaction) is Placement.BY_USER:
        return await _seal_each(transaction, due, vault=vault)
    factors = (await transaction.scalars(due.with_for_update(skip_locked=True))).all()
    for factor in factors:
        with suppress(CannotOpen):  # its key is gone: a recovery code is the way in
            secret = vault.open(factor.sealed_secret, about=factor.user_id.bytes)
            factor.sealed_secret = vault.seal(secret, about=factor.user_id.bytes)
    return len(factors)


async def _seal_each(transaction: AsyncSession, due: Select[SecondFactor], *, vault: Vault) -> int:
    """Encrypt each anew where rows are divided by user: found without a lock, skipped if changed meanwhile."""
    found = (
        await transaction.execute(
            due.with_only_columns(SecondFactor.user_id, SecondFactor.sealed_secret)
        )
    ).all()
    for user_id, sealed in found:
        with suppress(CannotOpen):
            secret = vault.open(sealed, about=user_id.bytes)
            anew = vault.seal(secret, about=user_id.bytes)
            this = (SecondFactor.user_id == user_id) & (SecondFactor.sealed_secret == sealed)
            await transaction.execute(update(SecondFactor).where(this).values(sealed_secret=anew))
    return len(found)


async def _is_new_code(
    transaction: AsyncSession, factor: SecondFactor, *, code: str, vault: Vault
) -> bool:
    """Whether a code is right and unused; it counts as used from now on."""
    try:
        secret = vault.open(factor.sealed_secret, about=factor.user_id.bytes)
    except CannotOpen:
        logger.warning("the key of a second factor is gone", extra={"account": factor.user_id.hex})
        return False
    now = int(await transaction.scalar(select(func.extract("epoch", func.now()))) or 0)
    step = step_of(code, secret=secret, now=now)
    if step is None or (factor.last_step is not None and step <= factor.last_step):
        return False
    factor.last_step = step
    return True


async def _use_recovery_code(transaction: AsyncSession, user_id: UUID, text: str) -> bool:
    used = (
        delete(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == _digest(text))
        .returning(RecoveryCode.user_id)
    )
    if await transaction.scalar(used) is None:
        return False
    await record(transaction, AuditedAction.USER_RECOVERY_CODE_USED, user_id=user_id)
    return True


def _factor(user_id: UUID) -> Select[SecondFactor]:
    return select(SecondFactor).where(SecondFactor.user_id == user_id).with_for_update()


def _marked(user_id: UUID, *, has_second_factor: bool) -> Update:
    return (
        update(User)
        .where(User.id == user_id)
        .values(has_second_factor=has_second_factor)
        .execution_options(synchronize_session=False)
    )


def _new_recovery_code() -> str:
    """Make a code of 125 random bits, in five groups of five."""
    letters = b32encode(secrets.token_bytes(16)).decode()[:25]
    return "-".join(letters[start : start + 5] for start in range(0, 25, 5))


def _digest(code: str) -> bytes:
    """Digest the letters of a code, however they were grouped and in whatever case."""
    letters = re.sub(r"[^A-Z2-7]", "", code.upper())
    return hashlib.sha256(letters.encode()).digest()
