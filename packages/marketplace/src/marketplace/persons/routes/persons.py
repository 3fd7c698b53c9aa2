"""Export and deletion of the data of whoever asks, over HTTP."""

from fastapi import Response

from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.delivery import drop_cookie
from marketplace.accounts.principal import FreshPrincipal
from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    LastAdministrator,
)
from marketplace.accounts.rate_guards import CountedLogin
from marketplace.database import RequestTransactions
from marketplace.persons.problems import OrdersUnderWay
from marketplace.persons.schemas import Export
from marketplace.persons.service import persons
from marketplace.problems import TooManyRequests, api_router, documented

router = api_router(prefix="/auth/me", tags=["accounts"])
FRESH = (InvalidAccessToken, FreshAuthenticationNeeded, TooManyRequests)


@router.get("/export", dependencies=[CountedLogin], responses=documented(*FRESH))
async def export(transactions: RequestTransactions, principal: FreshPrincipal) -> Export:
    """Get everything that is kept of you: the account, its devices, its orders and what is on record of it."""
    return await transactions.write(persons.export, principal)


@router.delete(
    "",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(*FRESH, OrdersUnderWay, LastAdministrator),
)
async def delete(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    principal: FreshPrincipal,
    response: Response,
) -> None:
    """Delete the account. What was bought and paid is kept, as the law requires, with nothing that tells by whom."""
    await transactions.write(persons.delete, principal, accounts=accounts)
    drop_cookie(response)
