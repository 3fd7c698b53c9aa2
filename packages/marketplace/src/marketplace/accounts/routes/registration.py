"""Registration and the verification of an e-mail address, over HTTP."""

from fastapi import APIRouter, BackgroundTasks

from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.problems import (
    AccountExists,
    InvalidVerificationToken,
    PasswordTooShort,
)
from marketplace.accounts.rate_guards import CountedLogin
from marketplace.accounts.schemas import (
    Registered,
    Registration,
    Verification,
    VerificationRequest,
)
from marketplace.accounts.service import registration
from marketplace.database import RequestTransactions
from marketplace.problems import InvalidRequest, TooManyRequests, documented

router = APIRouter(prefix="/auth", tags=["accounts"])
HASHES = (TooManyRequests, InvalidRequest)


@router.post(
    "/register",
    status_code=201,
    dependencies=[CountedLogin],
    responses=documented(AccountExists, PasswordTooShort, *HASHES),
)
async def register(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    form: Registration,
    afterwards: BackgroundTasks,
) -> Registered:
    """A new customer, who verifies the e-mail address next."""
    verifiable = await registration.register(transactions, form, accounts=accounts)
    afterwards.add_task(registration.mail_token, verifiable, accounts=accounts)
    is_shown = accounts.settings.returns_verification_token
    return Registered(
        user_id=verifiable.user_id,
        email=verifiable.email,
        verification_token=verifiable.token if is_shown else None,
    )


@router.post(
    "/verify",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(InvalidVerificationToken, *HASHES),
)
async def verify(transactions: RequestTransactions, form: Verification) -> None:
    """The e-mail address is the user's; a token works once."""
    await transactions.write(registration.verify, form.token.get_secret_value())


@router.post(
    "/verify/resend",
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(*HASHES),
)
async def resend_verification(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    form: VerificationRequest,
    afterwards: BackgroundTasks,
) -> None:
    """Another token by mail, if there is anything to verify; the answer is always the same."""
    await accounts.rates.count(accounts.settings.rate.login_per_account, "login", form.email)
    verifiable = await transactions.write(
        registration.renew_verification, form.email, accounts=accounts
    )
    if verifiable is not None:
        afterwards.add_task(registration.mail_token, verifiable, accounts=accounts)
