"""The catalogue over HTTP, one file for each kind of thing."""

from marketplace.catalog.routes import categories, products, variants, vendors

ROUTES = [
    route for part in (products, variants, vendors, categories) for route in part.router.routes
]
DIRECT = products.DIRECT
