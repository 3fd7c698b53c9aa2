"""The second factor of one's own account: set up, confirmed, removed; each change is reported by a letter."""

from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts import second_factor
from marketplace.accounts.context import Accounts
from marketplace.accounts.problems import InvalidAccessToken, NoSecondFactor
from marketplace.accounts.schemas import RecoveryCodes, SecondFactorOffer, SecondFactorState
from marketplace.entities import LetterKind, User


async def state(transaction: AsyncSession, user_id: UUID) -> SecondFactorState:
    """Say whether it is in force, and how many recovery codes are left."""
    user = await transaction.get(User, user_id)
    return SecondFactorState(
        is_in_force=user is not None and user.has_second_factor,
        recovery_codes_left=await second_factor.recovery_codes_left(transaction, user_id),
    )


async def offer(
    transaction: AsyncSession, user_id: UUID, *, accounts: Accounts
) -> SecondFactorOffer:
    """Make a secret for an authenticator. Raises `SecondFactorInForce`."""
    user = await _locked(transaction, user_id)
    offered = await second_factor.offer(transaction, user, vault=accounts.vault)
    return SecondFactorOffer(secret=offered.secret, uri=offered.uri)


async def confirm(
    transaction: AsyncSession, user_id: UUID, *, code: SecretStr, accounts: Accounts
) -> RecoveryCodes:
    """Put it in force. Raises `NoSecondFactor`, `SecondFactorInForce`, `InvalidSecondFactor`."""
    user = await _locked(transaction, user_id)
    codes = await second_factor.confirm(transaction, user_id, code=code, vault=accounts.vault)
    await _tell(transaction, user, "A second factor is needed from now on.", accounts=accounts)
    return RecoveryCodes(recovery_codes=codes)


async def renew_recovery_codes(
    transaction: AsyncSession, user_id: UUID, *, code: SecretStr, accounts: Accounts
) -> RecoveryCodes:
    """Make ten new codes. Raises `NoSecondFactor`, `InvalidSecondFactor`."""
    user = await _locked(transaction, user_id)
    if not user.has_second_factor:
        raise NoSecondFactor
    await second_factor.prove(transaction, user_id, code=code, vault=accounts.vault)
    codes = await second_factor.replace_recovery_codes(transaction, user_id)
    await _tell(transaction, user, "Your recovery codes were replaced.", accounts=accounts)
    return RecoveryCodes(recovery_codes=codes)


async def remove(
    transaction: AsyncSession, user_id: UUID, *, code: SecretStr, accounts: Accounts
) -> None:
    """Take it out of force. Raises `NoSecondFactor`, `InvalidSecondFactor`."""
    user = await _locked(transaction, user_id)
    await second_factor.remove(transaction, user_id, code=code, vault=accounts.vault)
    await _tell(transaction, user, "Your account has no second factor any more.", accounts=accounts)


async def _locked(transaction: AsyncSession, user_id: UUID) -> User:
    user = await transaction.get(User, user_id, with_for_update={"key_share": True})
    if user is None:
        raise InvalidAccessToken
    return user


async def _tell(transaction: AsyncSession, user: User, what: str, *, accounts: Accounts) -> None:
    await accounts.outbox.put(
        transaction,
        LetterKind.SECOND_FACTOR_CHANGED,
        to=user.email,
        user_id=user.id,
        what=what,
    )
