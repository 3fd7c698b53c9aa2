"""Registration, verification of an e-mail address, and a forgotten password, over HTTP."""

from fastapi import APIRouter, BackgroundTasks

from marketplace.accounts.clients import Client, CurrentClient
from marketplace.accounts.context import Accounts, CurrentAccounts
from marketplace.accounts.problems import (
    InvalidVerificationToken,
    PasswordTooShort,
    PasswordTooWeak,
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
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(PasswordTooShort, PasswordTooWeak, *HASHES),
)
async def register(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    form: Registration,
    afterwards: BackgroundTasks,
) -> Registered:
    """A letter to the address, with the token that sets the password. Known or new: the answer is the same."""
    await _count_letter(form.email, accounts=accounts, client=client)
    letter = await registration.register(transactions, form, accounts=accounts)
    if letter is None:
        return Registered(email=form.email, verification_token=None)
    afterwards.add_task(registration.mail, letter, accounts=accounts)
    is_shown = accounts.settings.returns_verification_token
    return Registered(email=form.email, verification_token=letter.token if is_shown else None)


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
    afterwards: BackgroundTasks,
) -> None:
    """Another letter, if there is anything to verify; the answer is always the same."""
    await _count_letter(form.email, accounts=accounts, client=client)
    letter = await registration.renew_verification(transactions, form.email, accounts=accounts)
    if letter is not None:
        afterwards.add_task(registration.mail, letter, accounts=accounts)


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
    afterwards: BackgroundTasks,
) -> None:
    """A letter whose token sets a new password (POST /auth/verify); the answer is always the same."""
    await _count_letter(form.email, accounts=accounts, client=client)
    letter = await registration.forget_password(transactions, form.email, accounts=accounts)
    if letter is not None:
        afterwards.add_task(registration.mail, letter, accounts=accounts)


async def _count_letter(email: str, *, accounts: Accounts, client: Client) -> None:
    """By address and by whom it is about: nobody uses up what somebody else may ask."""
    rule = accounts.settings.rate.letters_per_account
    await accounts.rates.count(rule, "letters", email, client.counted_as)
