"""Limits how often a client may ask for what is expensive or can be guessed; counted before anything is done."""

from fastapi import Depends

from marketplace.accounts.clients import Client, CurrentClient
from marketplace.accounts.context import Accounts, CurrentAccounts
from marketplace.accounts.principal import CurrentPrincipal


async def count_login(accounts: CurrentAccounts, client: CurrentClient) -> None:
    """Count a request that checks a password or registers, before anything is hashed."""
    await accounts.rates.count(accounts.settings.rate.login_per_ip, "login", client.counted_as)


async def count_refresh(accounts: CurrentAccounts, client: CurrentClient) -> None:
    """Count a refresh, before anything is looked up."""
    await accounts.rates.count(accounts.settings.rate.refresh_per_ip, "refresh", client.counted_as)


async def count_letter(email: str, *, accounts: Accounts, client: Client) -> None:
    """Count a letter, by address and by whom it is about: nobody uses up the rate of somebody else."""
    rule = accounts.settings.rate.letters_per_account
    await accounts.rates.count(rule, "letters", email, client.counted_as)


async def count_proof(
    accounts: CurrentAccounts, client: CurrentClient, principal: CurrentPrincipal
) -> None:
    """Count a request that checks a code of the logged-in user."""
    rule = accounts.settings.rate.login_per_account
    await accounts.rates.count(rule, "code", principal.user_id.hex, client.counted_as)


CountedProof = Depends(count_proof)
CountedLogin = Depends(count_login)
CountedRefresh = Depends(count_refresh)
