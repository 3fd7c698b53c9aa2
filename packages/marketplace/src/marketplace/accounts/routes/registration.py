"""Registration, verification of an e-mail address, and a forgotten password, over HTTP."""

from marketplace.accounts.clients import CurrentClient
from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.problems import (
    InvalidVerificationToken,
    PasswordTooShort,
    PasswordTooWeak,
)
from marketplace.accounts.rate_guards import CountedLogin, count_letter
from marketplace.accounts.schemas import (
    PasswordForgotten,
    Registered,
    Registration,
    Verification,
    VerificationRequest,
)
from marketplace.accounts.service import registration
from marketplace.database import RequestTransactions
from marketplace.problems import InvalidRequest, TooManyRequests, api_router, documented

router = api_router(prefix="/auth", tags=["accounts"])
HASHES = (TooManyRequests, InvalidRequest)


@router.post(
    "/register",
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(PasswordTooShort, PasswordTooWeak, *HASHES),
)
async def register(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    form: Registration,
) -> Registered:
    """A letter to the address, with the token that sets the password. Known or new: the answer is the same."""
    await count_letter(form.email, accounts=accounts, client=client)
    token = await registration.register(transactions, form, accounts=accounts)
    is_shown = accounts.settings.returns_verification_token
    return Registered(email=form.email, verification_token=token if is_shown else None)


@router.post(
    "/verify",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(InvalidVerificationToken, PasswordTooShort, PasswordTooWeak, *HASHES),
)
async def verify(
    transactions: RequestTransactions, accounts: CurrentAccounts, form: Verification
) -> None:
    """The token of a letter verifies the address and sets the password; it works once."""
    await registration.verify(transactions, form, accounts=accounts)


@router.post(
    "/verify/resend",
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(*HASHES),
)
async def resend_verification(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    form: VerificationRequest,
) -> None:
    """Another letter, if there is anything to verify; the answer is always the same."""
    await count_letter(form.email, accounts=accounts, client=client)
    await registration.renew_verification(transactions, form.email, accounts=accounts)


@router.post(
    "/password/forgotten",
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(*HASHES),
)
async def forget_password(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    form: VerificationRequest,
) -> PasswordForgotten:
    """A letter whose token sets a new password (POST /auth/password/reset); the answer is always the same."""
    await count_letter(form.email, accounts=accounts, client=client)
    token = await registration.forget_password(transactions, form.email, accounts=accounts)
    is_shown = accounts.settings.returns_verification_token
    return PasswordForgotten(email=form.email, token=token if is_shown else None)


@router.post(
    "/password/reset",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(InvalidVerificationToken, PasswordTooShort, PasswordTooWeak, *HASHES),
)
async def reset_password(
    transactions: RequestTransactions, accounts: CurrentAccounts, form: Verification
) -> None:
    """The token of a letter sets another password, once; every session ends. A second factor stays in force."""
    await registration.verify(transactions, form, accounts=accounts)
