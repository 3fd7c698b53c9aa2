"""Accounts over HTTP: registration, one's own account, and the administration of all of them."""

from fastapi import APIRouter

from marketplace.accounts.routes import administration, own, registration

router = APIRouter()
for part in (registration, own, administration):
    router.include_router(part.router)
