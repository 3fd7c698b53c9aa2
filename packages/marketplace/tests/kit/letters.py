"""What waits in the outbox."""

from sqlalchemy import Engine, select

from marketplace.entities import Letter


def letters_of(engine: Engine) -> list[tuple[str, str]]:
    """To whom, and of which kind; the oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(Letter.recipient, Letter.kind).order_by(Letter.id))
        return [(recipient, kind.value) for recipient, kind in rows]
