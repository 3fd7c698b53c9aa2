"""Sends letters to users over SMTP. What is in them is never logged."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from functools import partial
from urllib.parse import SplitResult, unquote, urlsplit

from anyio import to_thread
from pydantic import SecretStr

TIMEOUT = 10  # seconds for each answer of the server
SUBMISSION, SUBMISSIONS = 587, 465

logger = logging.getLogger(__name__)


class Mail:
    """Sends through the server of `url`; without one it only says that it did not.

    Nothing is said to a server in the clear, no password and no letter, where `requires_tls`, or where there
    is a password at all: a server that offers no STARTTLS may be somebody in between who took it away.
    """

    def __init__(self, *, url: SecretStr | None, sender: str, requires_tls: bool = True) -> None:
        self._url = url
        self._sender = sender
        self._requires_tls = requires_tls

    async def send(self, *, to: str, subject: str, text: str) -> str | None:
        """Send a letter; give in one word what went wrong if a server refused it or is not there, else None."""
        if self._url is None:
            logger.info("not mailed: MARKETPLACE_MAIL_URL is not set", extra={"subject": subject})
            return None
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self._sender, to, subject
        letter.set_content(text)
        try:
            url = urlsplit(self._url.get_secret_value())
            requires_tls = self._requires_tls or url.username is not None
            await to_thread.run_sync(partial(_submit, url, letter, requires_tls=requires_tls))
        except (OSError, smtplib.SMTPException) as error:
            # Not the text of the error: servers quote addresses in it.
            facts = {"error": type(error).__name__, "subject": subject}
            logger.warning("not mailed", extra=facts)
            return type(error).__name__
        return None


def _submit(url: SplitResult, letter: EmailMessage, *, requires_tls: bool) -> None:
    with _connect(url, requires_tls=requires_tls) as server:
        if url.username is not None:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(letter)


def _connect(url: SplitResult, *, requires_tls: bool) -> smtplib.SMTP:
    host, tls = url.hostname or "localhost", ssl.create_default_context()
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(host, url.port or SUBMISSIONS, timeout=TIMEOUT, context=tls)
    server = smtplib.SMTP(host, url.port or SUBMISSION, timeout=TIMEOUT)
    try:
        server.ehlo()
        if requires_tls or server.has_extn("starttls"):
            server.starttls(context=tls)  # raises where the server does not offer it
    except BaseException:
        server.close()
        raise
    return server
