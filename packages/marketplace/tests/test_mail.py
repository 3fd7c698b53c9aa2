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

    def __init__(self, *, answers: dict[bytes, bytes] | None = None) -> None:
        super().__init__(daemon=True)
        self._answers = ANSWERS | (answers or {})
        self.heard = b""
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
                self.heard += line
                if is_letter and line != b".\r\n":
                    self.letter += line
                    continue
                is_letter = line.upper().startswith(b"DATA")
                connection.sendall(self._answer(line))
                if line.upper().startswith(b"QUIT"):
                    return

    def _answer(self, line: bytes) -> bytes:
        words = line.strip().upper().split() or [b""]
        return self._answers.get(words[0], b"250 ok\r\n")


def send(url: str | None, *, requires_tls: bool = False) -> None:
    mail = Mail(
        url=SecretStr(url) if url else None, sender="shop@example.com", requires_tls=requires_tls
    )
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


STRIPPED = {
    "does not offer STARTTLS": {},
    "offers it and refuses it": {
        b"EHLO": b"250-shop\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n",
        b"STARTTLS": b"454 not now\r\n",
    },
    "offers AUTH only": {b"EHLO": b"250-shop\r\n250 AUTH PLAIN LOGIN\r\n"},
    "knows no EHLO": {b"EHLO": b"502 what?\r\n"},
}


@pytest.mark.parametrize("server", STRIPPED)
@pytest.mark.parametrize(("user", "requires_tls"), [("me:s3cr3t@", False), ("", True)])
def test_nothing_is_said_in_the_clear(
    server: str, user: str, requires_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a man in the middle answers instead of STARTTLS: no password and no letter, and a line in the log."""
    listening = MailServer(answers=STRIPPED[server])
    listening.start()
    send(f"smtp://{user}127.0.0.1:{listening.port}", requires_tls=requires_tls)
    listening.join(LIMIT)
    assert caplog.messages == ["not mailed"]
    commands = {line.split()[0].upper() for line in listening.heard.splitlines() if line.split()}
    assert commands <= {b"EHLO", b"HELO", b"STARTTLS", b"QUIT"}
