"""Letters to users, over SMTP. What is in them is never logged."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from anyio import to_thread
from pydantic import SecretStr

TIMEOUT = 10  # seconds for each answer of the server
SUBMISSION, SUBMISSIONS = 587, 465

logger = logging.getLogger(__name__)


class Mail:
    """Sends by the server of `url`; without one only says that it did not."""

    def __init__(self, *, url: SecretStr | None, sender: str) -> None:
        self._url = url
        self._sender = sender

    async def send(self, *, to: str, subject: str, text: str) -> None:
        """A server that refuses, or is not there, is logged: whoever waits can ask again."""
        if self._url is None:
            logger.info("not mailed: MARKETPLACE_MAIL_URL is not set", extra={"subject": subject})
            return
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self._sender, to, subject
        letter.set_content(text)
        try:
            await to_thread.run_sync(_submit, urlsplit(self._url.get_secret_value()), letter)
        except (OSError, smtplib.SMTPException) as error:
            # Without its text: servers quote addresses in it.
            facts = {"error": type(error).__name__, "subject": subject}
            logger.warning("not mailed", extra=facts)


def _submit(url: SplitResult, letter: EmailMessage) -> None:
    with _connect(url) as server:
        if url.username is not None:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(letter)


def _connect(url: SplitResult) -> smtplib.SMTP:
    host, tls = url.hostname or "localhost", ssl.create_default_context()
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(host, url.port or SUBMISSIONS, timeout=TIMEOUT, context=tls)
    server = smtplib.SMTP(host, url.port or SUBMISSION, timeout=TIMEOUT)
    if server.ehlo() and server.has_extn("starttls"):
        server.starttls(context=tls)
    return server
