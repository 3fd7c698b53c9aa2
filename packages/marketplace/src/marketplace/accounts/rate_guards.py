"""How often a client may ask for what is expensive or can be guessed: counted before anything is done."""

from fastapi import Depends

from marketplace.accounts.clients import CurrentClient
from marketplace.accounts.context import CurrentAccounts


async def count_login(accounts: CurrentAccounts, client: CurrentClient) -> None:
    """Count a request that checks a password or registers, before anything is hashed."""
    await accounts.rates.count(accounts.settings.rate.login_per_ip, "login", client.counted_as)


async def count_refresh(accounts: CurrentAccounts, client: CurrentClient) -> None:
    """Count a refresh, before anything is looked up."""
    await accounts.rates.count(accounts.settings.rate.refresh_per_ip, "refresh", client.counted_as)


CountedLogin = Depends(count_login)
CountedRefresh = Depends(count_refresh)
