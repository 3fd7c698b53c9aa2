"""Whatever happens to sessions in whatever order: four promises hold.

At most one token of a session is live. Nothing is alive after a revocation has returned. A client that
retries inside the grace is never logged out. No token that was issued is in the database.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest
from database_scan import rows_with_any_of
from everywhere import everywhere
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr
from session_races import NEW, OLD, World, open_world
from sqlalchemy import Engine

from marketplace.accounts.sessions import OpenedSession
from marketplace.accounts.tokens import digest
from marketplace.cleanup import clean_up
from marketplace.entities import Session
from marketplace.settings import SessionSettings

LIFETIMES = SessionSettings(max_per_user=4)
A_MOMENT = timedelta(seconds=1)


class Client:
    """One device of an honest user, as the model knows it."""

    def __init__(self, opened: OpenedSession) -> None:
        self.opened = opened
        self.issued = [opened.refresh_token]  # every generation, the current one last
        self.stored = 0  # which of them it has stored
        self.since_rotation = timedelta()
        self.idle = timedelta()
        self.age = timedelta()
        self.last_use = 0  # a number that grows with each use of any client
        self.has_ended = False

    @property
    def is_alive(self) -> bool:
        return not self.has_ended and self.idle < LIFETIMES.idle and self.age < LIFETIMES.absolute


class Sessions(RuleBasedStateMachine):
    """The product on a database, beside a model of it."""

    clients = Bundle("clients")
    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Client] = []
        self.uses = 0
        self.password, self.other_password = OLD, NEW
        self.recovery: list[SecretStr] = []  # codes, where there is a second factor
        self.addresses = 0
        self.runner = asyncio.Runner()
        self.lifetime = contextlib.AsyncExitStack()
        world = open_world(self.engine.url, session=LIFETIMES)
        self.world: World = self.runner.run(self.lifetime.enter_async_context(world))

    def teardown(self) -> None:
        """What was issued in this history is nowhere in the database."""
        issued = [token for client in self.known for token in client.issued]
        try:
            assert rows_with_any_of(self.engine, issued) == []
        finally:
            self.runner.run(self.lifetime.aclose())
            self.runner.close()

    @rule(target=clients)
    def log_in(self) -> Client:
        if self.recovery:
            assert self.runner.run(self.world.log_in(self.password)) is None
        opened = self.runner.run(self.world.log_in(self.password, code=self._code()))
        assert opened is not None
        alive = sorted((c for c in self.known if c.is_alive), key=lambda c: c.last_use)
        for evicted in alive[: max(0, len(alive) - LIFETIMES.max_per_user + 1)]:
            evicted.has_ended = True
        return self._add(opened)

    @rule(client=clients)
    def refresh(self, client: Client) -> None:
        """The answer arrives. Right after a lost one, this is the retry."""
        answer = self._present(client, client.stored)
        if answer is not None:
            client.stored = client.issued.index(answer)

    @rule(client=clients)
    def refresh_and_lose_the_answer(self, client: Client) -> None:
        self._present(client, client.stored)

    @rule(client=clients, data=st.data())
    def replay_a_stolen_token(self, client: Client, data: st.DataObject) -> None:
        """Any token that was ever issued in the session."""
        self._present(client, data.draw(st.integers(0, len(client.issued) - 1)))

    @rule(time=st.sampled_from([timedelta(seconds=20), timedelta(seconds=45), timedelta(days=8)]))
    def let_pass(self, time: timedelta) -> None:
        self.runner.run(self.world.let_pass(time))
        for client in self.known:
            client.since_rotation += time
            client.idle += time
            client.age += time

    @rule(client=consumes(clients))
    def log_out_everywhere(self, client: Client) -> None:
        if not client.is_alive:
            return
        self.runner.run(self.world.log_out_everywhere(client.opened))
        self._end_all()

    @rule(client=clients)
    def change_password(self, client: Client) -> None:
        if not client.is_alive:
            return
        opened = self.runner.run(
            self.world.change_password(
                client.opened, old=self.password, new=self.other_password, code=self._code()
            )
        )
        self.password, self.other_password = self.other_password, self.password
        self._end_all()
        self._add(opened)

    @rule()
    def reset_a_forgotten_password(self) -> None:
        """Needs the letter only, and ends every session."""
        self.runner.run(self.world.reset_password(self.other_password))
        self.password, self.other_password = self.other_password, self.password
        self._end_all()

    @rule()
    def change_the_address(self) -> None:
        self.addresses += 1
        address = f"{self.world.user_id}-{self.addresses}@example.com"
        self.world = self.runner.run(self.world.change_email(address))
        self._end_all()

    @precondition(lambda self: not self.recovery)
    @rule()
    def set_up_a_second_factor(self) -> None:
        self.recovery = self.runner.run(self.world.set_up_second_factor())

    @precondition(lambda self: self.recovery)
    @rule()
    def remove_the_second_factor(self) -> None:
        self._remove_second_factor()

    @rule()
    def log_in_with_the_old_password(self) -> None:
        assert self.runner.run(self.world.log_in(self.other_password)) is None

    @precondition(lambda self: self.known)
    @rule()
    def clean_up(self) -> None:
        list(clean_up(self.engine, self.world.accounts.settings, batch=2))

    @invariant()
    def the_same_sessions_are_alive(self) -> None:
        """Nothing more: nothing is alive after a revocation. Nothing less: nobody is logged out."""
        expected = {client.opened.session_id for client in self.known if client.is_alive}
        assert self.runner.run(self.world.alive()) == expected

    @invariant()
    def one_token_of_each_is_live(self) -> None:
        """The newest one; the row has its digest."""
        for client in self.known:
            if client.is_alive:
                row: Session = self.runner.run(self.world.row(client.opened.session_id))
                assert row.refresh_token_hash == digest(client.issued[-1])
                assert row.generation == len(client.issued) - 1

    def _present(self, client: Client, generation: int) -> str | None:
        """What the table of answers says about this generation is what happens."""
        answer = self.runner.run(self.world.refresh(client.issued[generation]))
        newest = len(client.issued) - 1
        if not client.is_alive:
            assert answer is None
        elif generation == newest:
            assert answer is not None
            assert answer not in client.issued
            client.issued.append(answer)
            client.since_rotation = client.idle = timedelta()
            self._use(client)
        elif generation == newest - 1 and client.since_rotation < LIFETIMES.grace - A_MOMENT:
            assert answer == client.issued[newest]
        else:
            assert answer is None
            client.has_ended = True
        return answer

    def _code(self) -> SecretStr | None:
        """A recovery code that was not used; the last one is kept, to remove the factor with."""
        if len(self.recovery) == 1:
            self._remove_second_factor()
        return self.recovery.pop() if self.recovery else None

    def _remove_second_factor(self) -> None:
        self.runner.run(self.world.remove_second_factor(self.recovery[0]))
        self.recovery = []

    def _add(self, opened: OpenedSession) -> Client:
        client = Client(opened)
        self.known.append(client)
        self._use(client)
        return client

    def _use(self, client: Client) -> None:
        self.uses += 1
        client.last_use = self.uses

    def _end_all(self) -> None:
        for client in self.known:
            client.has_ended = True


@pytest.fixture
def machine(migrated: Engine) -> Iterator[type[Sessions]]:
    Sessions.engine = migrated
    yield Sessions
    del Sessions.engine


def test_any_history(machine: type[Sessions]) -> None:
    """Log in, refresh, retry, lost answer, theft, revocation, password, address and second factor, time, clean-up."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8 if everywhere() else 2,
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.generate],  # to shrink a history takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
