"""Shows the query of another session without its values."""


def shown_query(query: str | None) -> str | None:
    """Give the query of another session as far as it may be shown: without values, on one line."""
    if query is None or query.startswith("<insufficient privilege>"):
        return None
    from holdfast.rewrite.statement import shortened, without_values  # loads the parser

    return shortened(without_values(query))
