"""What the accounts of one application share: its settings, keys, hashing, rates, letters, metrics."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from marketplace.accounts.passwords import Passwords
from marketplace.accounts.tokens import TokenKeys
from marketplace.metrics import Metrics
from marketplace.outbox import Outbox
from marketplace.rates import Rates
from marketplace.secrets import Vault
from marketplace.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The shared parts of one application's accounts, made once at its start."""

    settings: Settings
    keys: TokenKeys
    passwords: Passwords
    rates: Rates
    outbox: Outbox
    vault: Vault  # of the second factors
    metrics: Metrics


def open_accounts(settings: Settings, *, metrics: Metrics) -> Accounts:
    """Make all parts from the settings."""
    return Accounts(
        settings=settings,
        keys=TokenKeys.of(*settings.server_keys),
        passwords=Passwords(settings.password),
        rates=Rates(settings.rate),
        outbox=Outbox.of(settings),
        vault=second_factor_vault(settings),
        metrics=metrics,
    )


def second_factor_vault(settings: Settings) -> Vault:
    """Make the vault that encrypts the secrets of authenticators."""
    return Vault(settings.server_keys, purpose="second factors")


async def accounts_of(request: Request) -> Accounts:
    """Give the accounts of the application that answers the request."""
    accounts: Accounts = request.app.state.accounts
    return accounts


CurrentAccounts = Annotated[Accounts, Depends(accounts_of)]
