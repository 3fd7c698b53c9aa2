"""What the accounts of one application share: its settings, keys, hashing, rates, mail, metrics."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from holdfast import Profile
from marketplace.accounts.passwords import Passwords
from marketplace.accounts.tokens import TokenKeys
from marketplace.mail import Mail
from marketplace.metrics import Metrics
from marketplace.rates import Rates
from marketplace.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Made once, when the application is."""

    settings: Settings
    keys: TokenKeys
    passwords: Passwords
    rates: Rates
    mail: Mail
    metrics: Metrics


def open_accounts(settings: Settings, *, metrics: Metrics) -> Accounts:
    """All of it from the settings."""
    return Accounts(
        settings=settings,
        keys=TokenKeys.of(*settings.server_keys),
        passwords=Passwords(settings.password),
        rates=Rates(settings.rate),
        mail=Mail(
            url=settings.mail_url,
            sender=settings.mail_from,
            requires_tls=settings.profile is Profile.PRODUCTION,
        ),
        metrics=metrics,
    )


async def accounts_of(request: Request) -> Accounts:
    """Those of the application that answers."""
    accounts: Accounts = request.app.state.accounts
    return accounts


CurrentAccounts = Annotated[Accounts, Depends(accounts_of)]
