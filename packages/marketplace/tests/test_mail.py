"""Letters reach a server; what goes wrong is logged without a word of them."""

import asyncio
import logging
import socket
from threading import Thread

import pytest
from pydantic import SecretStr

from marketplace.mail import Mail

LIMIT = 10
ANSWERS = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


class MailServer(Thread):
    """Takes one letter, as RFC 5321 has it, and no more than that."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT)
        self.port: int = self._listener.getsockname()[1]
        self.letter = b""

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with self._listener, connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 ready\r\n")
            is_letter = False
            for line in lines:
                if is_letter and line != b".\r\n":
                    self.letter += line
                    continue
                is_letter = line.upper().startswith(b"DATA")
                connection.sendall(ANSWERS.get(line.strip().upper(), b"250 ok\r\n"))
                if line.upper().startswith(b"QUIT"):
                    return


def send(url: str | None) -> None:
    mail = Mail(url=SecretStr(url) if url else None, sender="shop@example.com")
    asyncio.run(mail.send(to="new@example.com", subject="Hello", text="hfv_secret\n"))


def test_a_letter_arrives() -> None:
    """With sender, recipient, subject and text."""
    server = MailServer()
    server.start()
    send(f"smtp://127.0.0.1:{server.port}")
    server.join(LIMIT)
    assert b"From: shop@example.com\r\nTo: new@example.com\r\nSubject: Hello" in server.letter
    assert server.letter.endswith(b"hfv_secret\r\n")


def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """Is no error of the request: another letter can be asked for."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    send(f"smtp://127.0.0.1:{port}")
    assert caplog.messages == ["not mailed"]
    assert "hfv_secret" not in caplog.text


def test_no_server_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """Which is fine in development."""
    caplog.set_level(logging.INFO)
    send(None)
    assert caplog.messages == ["not mailed: MARKETPLACE_MAIL_URL is not set"]
