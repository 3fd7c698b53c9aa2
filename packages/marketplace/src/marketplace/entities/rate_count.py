"""How often something was asked in the current window, if several processes count together."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity


class RateCount(Entity):
    """One count. `key` is a digest of the rule and of whom it is about. Not in the WAL: empty after a crash."""

    __tablename__ = "rate_counts"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[datetime]

    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012  # SQLAlchemy's own form
