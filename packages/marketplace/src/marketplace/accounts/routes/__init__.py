"""Accounts over HTTP: registration, one's own account, and the administration of all of them."""

from marketplace.accounts.routes import administration, email, own, registration, second_factor

ROUTES = [
    route
    for part in (own, registration, email, second_factor, administration)
    for route in part.router.routes
]
DIRECT = own.DIRECT
