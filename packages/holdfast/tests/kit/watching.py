"""Somebody who looks all the time: what one snapshot after the other shows of a database."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


@contextmanager
def looking(url: str, question: str) -> Iterator[list[str]]:
    """For the block a second connection asks for a boolean, over and over; gives each answer that was not true.

    It has asked at least once before the block begins and once after it.
    """
    wrong: list[str] = []
    asked, ended = threading.Event(), threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while True:
                is_last = ended.is_set()
                try:
                    answer = connection.execute(question.encode()).fetchall()
                except psycopg.Error as error:
                    answer = [(str(error),)]
                if answer != [(True,)]:
                    wrong.append(repr(answer))
                asked.set()
                if is_last:
                    return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        assert asked.wait(10), "nobody has looked within 10 s"
        yield wrong
    finally:
        ended.set()
        thread.join(20)
        assert not thread.is_alive(), "the last look took more than 20 s"
