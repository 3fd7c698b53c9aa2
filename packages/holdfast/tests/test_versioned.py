"""An edit of what somebody else has edited meanwhile is refused."""

import pytest
from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from holdfast.versioned import Versioned


class Entity(DeclarativeBase):
    """A base of the user's own."""


class Article(Versioned, Entity):
    """A table with a version."""

    __tablename__ = "article"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_the_second_of_two_edits_is_refused(database: str) -> None:
    """Both read version 1; what the first wrote stays, as version 2."""
    url = make_url(database).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool)
    Entity.metadata.create_all(engine)
    with Session(engine) as one, Session(engine) as two:
        one.add(Article(id=1, name="new"))
        one.commit()
        one.get_one(Article, 1).name = "the name of one"
        two.get_one(Article, 1).name = "the name of two"
        one.commit()
        with pytest.raises(StaleDataError):
            two.commit()
        two.rollback()
        article = two.get_one(Article, 1)
        assert (article.name, article.version) == ("the name of one", 2)


def test_rows_that_come_without_the_orm_begin_at_one(database: str) -> None:
    """COPY, and INSERT in plain SQL."""
    url = make_url(database).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool)
    Entity.metadata.create_all(engine)
    with Session(engine) as session:
        session.connection().exec_driver_sql("INSERT INTO article (id, name) VALUES (1, 'new')")
        assert session.get_one(Article, 1).version == 1
