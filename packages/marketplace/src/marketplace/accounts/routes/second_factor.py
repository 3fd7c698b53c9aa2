"""The second factor of one's own account, over HTTP."""

from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.principal import CurrentPrincipal, FreshPrincipal
from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    InvalidSecondFactor,
    NoSecondFactor,
    SecondFactorInForce,
)
from marketplace.accounts.rate_guards import CountedLogin, CountedProof
from marketplace.accounts.schemas import (
    RecoveryCodes,
    SecondFactorCode,
    SecondFactorOffer,
    SecondFactorState,
)
from marketplace.accounts.service import second_factor
from marketplace.database import RequestTransactions
from marketplace.problems import InvalidRequest, TooManyRequests, api_router, documented

router = api_router(prefix="/auth/second-factor", tags=["accounts"])
FRESH = (InvalidAccessToken, FreshAuthenticationNeeded)
CHECKS = (InvalidSecondFactor, TooManyRequests, InvalidRequest)


@router.get("", responses=documented(InvalidAccessToken))
async def get_state(
    transactions: RequestTransactions, principal: CurrentPrincipal
) -> SecondFactorState:
    """Say whether a second factor is in force, and how many recovery codes are left."""
    return await transactions.read(second_factor.state, principal.user_id)


@router.post("", status_code=201, responses=documented(*FRESH, SecondFactorInForce))
async def offer(
    transactions: RequestTransactions, accounts: CurrentAccounts, principal: FreshPrincipal
) -> SecondFactorOffer:
    """Get a secret for an authenticator, in force once a code of it is confirmed."""
    return await transactions.write(second_factor.offer, principal.user_id, accounts=accounts)


@router.post(
    "/confirm",
    dependencies=[CountedLogin, CountedProof],
    responses=documented(*FRESH, NoSecondFactor, SecondFactorInForce, *CHECKS),
)
async def confirm(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    principal: FreshPrincipal,
    form: SecondFactorCode,
) -> RecoveryCodes:
    """Put the second factor in force; the answer has the recovery codes, this once."""
    return await transactions.write(
        second_factor.confirm, principal.user_id, code=form.code, accounts=accounts
    )


@router.post(
    "/recovery-codes",
    dependencies=[CountedLogin, CountedProof],
    responses=documented(*FRESH, NoSecondFactor, *CHECKS),
)
async def renew_recovery_codes(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    principal: FreshPrincipal,
    form: SecondFactorCode,
) -> RecoveryCodes:
    """Get ten new recovery codes; those before no longer work."""
    return await transactions.write(
        second_factor.renew_recovery_codes, principal.user_id, code=form.code, accounts=accounts
    )


@router.post(
    "/remove",
    status_code=204,
    dependencies=[CountedLogin, CountedProof],
    responses=documented(*FRESH, NoSecondFactor, *CHECKS),
)
async def remove(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    principal: FreshPrincipal,
    form: SecondFactorCode,
) -> None:
    """Remove the second factor, with a code of it or a recovery code."""
    await transactions.write(
        second_factor.remove, principal.user_id, code=form.code, accounts=accounts
    )
