"""Letters: put down with their reason, sent at least once, given up on in the end, and never readable at rest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from devices import ADMIN, CUSTOMER, log_in, refusal
from letters import letters_of
from pydantic import SecretStr
from sqlalchemy import Engine, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.database import Transactions, open_engine
from marketplace.demo_data import PASSWORD
from marketplace.entities import Letter, LetterKind
from marketplace.letters import TEMPLATES
from marketplace.mail import Mail
from marketplace.outbox import MOST_ATTEMPTS, Outbox
from marketplace.secrets import Vault

KEY = SecretStr("a key of the tests, long enough to be one")


class Post(Mail):
    """A mail server that keeps what it gets, and refuses the first few."""

    def __init__(self, *, refusals: int = 0) -> None:
        super().__init__(url=None, sender="shop@example.com")
        self.refusals = refusals
        self.got: list[tuple[str, str, str]] = []

    async def send(self, *, to: str, subject: str, text: str) -> str | None:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            return "SMTPServerDisconnected"
        self.got.append((to, subject, text))
        return None


def outbox(post: Mail, key: SecretStr = KEY) -> Outbox:
    return Outbox(mail=post, vault=Vault([key], purpose="letters"))


@asynccontextmanager
async def transactions_on(engine: Engine) -> AsyncIterator[Transactions]:
    opened = open_engine(engine.url)
    try:
        yield Transactions.on(opened)
    finally:
        await opened.dispose()


async def put(transactions: Transactions, box: Outbox, to: str) -> None:
    async def work(session: AsyncSession) -> None:
        await box.put(session, LetterKind.NEW_ACCOUNT, to=to, user_id=None, token="hfv_secret")

    await transactions.write(work)


def test_sent_once_by_several(migrated: Engine) -> None:
    """However many processes send at a time; nothing is left, and nothing of it was readable meanwhile."""
    post = Post()

    async def work() -> None:
        async with transactions_on(migrated) as transactions:
            box = outbox(post)
            for number in range(30):
                await put(transactions, box, f"{number}@example.com")
            with migrated.connect() as connection:
                assert b"hfv_secret" not in b"".join(connection.scalars(select(Letter.sealed)))
            await asyncio.gather(*(box.deliver(transactions) for _ in range(4)))

    asyncio.run(work())
    assert sorted(to for to, _, _ in post.got) == sorted(f"{n}@example.com" for n in range(30))
    assert "hfv_secret" in post.got[0][2]
    assert letters_of(migrated) == []


def test_a_rolled_back_reason_sends_nothing(migrated: Engine) -> None:
    """A letter is as real as what it tells of."""

    async def work() -> None:
        async with transactions_on(migrated) as transactions:
            box = outbox(Post())

            async def fails(session: AsyncSession) -> None:
                await box.put(session, LetterKind.EMAIL_TAKEN, to="a@example.com", user_id=None)
                raise LookupError

            with pytest.raises(LookupError):
                await transactions.write(fails)

    asyncio.run(work())
    assert letters_of(migrated) == []


def test_a_refusal_is_tried_again_later(migrated: Engine) -> None:
    """After half a minute, then twice as long each time; who dies while sending leaves it to be sent again."""
    post = Post(refusals=1)

    async def work() -> None:
        async with transactions_on(migrated) as transactions:
            box = outbox(post)
            await put(transactions, box, "a@example.com")
            assert await box.deliver(transactions) == 0
            assert await box.deliver(transactions) == 0  # not yet
            let_pass(migrated, timedelta(seconds=31))
            assert await box.deliver(transactions) == 1
            await put(transactions, box, "b@example.com")
            [taken] = await box._take(transactions)
            assert taken[2] == "b@example.com"
            assert await box.deliver(transactions) == 0
            let_pass(migrated, timedelta(minutes=6))
            assert await box.deliver(transactions) == 1

    asyncio.run(work())


def test_given_up_on(shop: Engine, serve: Callable[..., httpx.Client]) -> None:
    """After the last attempt it is among the dead letters, whoever is to get it, until somebody tries again."""
    post = Post(refusals=MOST_ATTEMPTS)

    async def work() -> None:
        async with transactions_on(shop) as transactions:
            box = outbox(post)
            await put(transactions, box, "a@example.com")
            for _ in range(MOST_ATTEMPTS):
                await box.deliver(transactions)
                let_pass(shop, timedelta(hours=3))

    asyncio.run(work())
    api = serve()
    admin = log_in(api, ADMIN)
    [dead] = admin.get("/admin/dead-letters").json()["items"]
    assert (dead["recipient"], dead["attempts"]) == ("a@example.com", MOST_ATTEMPTS)
    assert dead["last_error"] == "SMTPServerDisconnected"
    assert "hfv_secret" not in str(dead)
    path = f"/admin/dead-letters/{dead['id']}/retry"
    assert admin.post(path).status_code == 204
    assert refusal(admin.post(path)) == (404, "letter_not_found")
    assert refusal(log_in(api, CUSTOMER).get("/admin/dead-letters")) == (403, "role_not_allowed")


def test_a_key_that_is_gone(migrated: Engine) -> None:
    """What it sealed is given up on like any other; the next letter is sent."""
    post = Post()

    async def work() -> None:
        async with transactions_on(migrated) as transactions:
            await put(transactions, outbox(post, SecretStr("another")), "a@example.com")
            await put(transactions, outbox(post), "b@example.com")
            assert await outbox(post).deliver(transactions) == 1

    asyncio.run(work())
    assert [to for to, _, _ in post.got] == ["b@example.com"]


def test_a_new_device_is_told(api: httpx.Client, shop: Engine) -> None:
    """One that was never used, of a user who has used another; the same one again is not."""
    with shop.begin() as connection:
        connection.execute(text("DELETE FROM sessions"))
    credentials = {"email": CUSTOMER, "password": PASSWORD}
    for agent in ("a laptop", "a laptop", "a phone", "a phone", "a laptop"):
        sent = api.post("/auth/login", json=credentials, headers={"User-Agent": agent})
        assert sent.status_code == 200, sent.text
    assert letters_of(shop) == [(CUSTOMER, "new_device")]


@pytest.mark.parametrize("kind", LetterKind)
def test_each_kind_has_a_letter(kind: LetterKind) -> None:
    """With a subject of one line."""
    template = TEMPLATES[kind]
    assert template.text.endswith("\n")
    assert "\n" not in template.subject


def let_pass(engine: Engine, time: timedelta) -> None:
    """As if it had passed: the clock is the database's, so the rows move instead."""
    with engine.begin() as connection:
        moved = update(Letter).values(next_attempt_at=Letter.next_attempt_at - time)
        connection.execute(moved)
