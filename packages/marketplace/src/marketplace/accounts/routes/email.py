"""Changing the e-mail address over HTTP: asked for while logged in, confirmed by the token in a letter."""

from marketplace.accounts.clients import CurrentClient
from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.principal import FreshPrincipal
from marketplace.accounts.problems import (
    EmailTaken,
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    InvalidVerificationToken,
)
from marketplace.accounts.rate_guards import CountedLogin, count_letter
from marketplace.accounts.schemas import EmailChangeAsked, EmailConfirmation, EmailWanted
from marketplace.accounts.service import email
from marketplace.database import RequestTransactions
from marketplace.problems import InvalidRequest, TooManyRequests, api_router, documented

router = api_router(prefix="/auth/email", tags=["accounts"])
COUNTED = (TooManyRequests, InvalidRequest)


@router.post(
    "",
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(InvalidAccessToken, FreshAuthenticationNeeded, *COUNTED),
)
async def ask_for_change(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    principal: FreshPrincipal,
    form: EmailWanted,
) -> EmailChangeAsked:
    """Send a letter to the new address, which confirms it, and one to the old address, which tells of it."""
    await count_letter(form.new_email, accounts=accounts, client=client)
    token = await email.ask_for_change(
        transactions, principal.user_id, form.new_email, accounts=accounts
    )
    is_shown = accounts.settings.returns_verification_token
    return EmailChangeAsked(new_email=form.new_email, token=token if is_shown else None)


@router.post(
    "/confirm",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(InvalidVerificationToken, EmailTaken, *COUNTED),
)
async def confirm_change(
    transactions: RequestTransactions, accounts: CurrentAccounts, form: EmailConfirmation
) -> None:
    """Change the address by the token of the letter, once. Every session ends; both addresses are told."""
    await email.confirm_change(transactions, form.token.get_secret_value(), accounts=accounts)
