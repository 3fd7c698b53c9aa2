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
    """Mail the address a token that sets the password. The answer is the same for known and new addresses."""
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
    """Verify the address and set the password, by the token of a letter; it works once."""
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
    """Send another letter, if there is anything to verify; the answer is always the same."""
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
    """Mail a token that sets a new password (POST /auth/password/reset); the answer is always the same."""
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
    """Set another password by the token of a letter, once; every session ends. A second factor stays in force."""
    await registration.verify(transactions, form, accounts=accounts)
