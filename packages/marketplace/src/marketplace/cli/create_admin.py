"""`marketplace create-admin EMAIL`: the first administrator, whom nobody else could appoint."""

import asyncio
import sys

import click
from pydantic import SecretStr, ValidationError
from sqlalchemy import URL, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from marketplace.accounts.context import open_accounts
from marketplace.accounts.problems import PasswordTooShort
from marketplace.accounts.schemas import Registration
from marketplace.accounts.service.administration import appoint
from marketplace.accounts.service.registration import register
from marketplace.database import Transactions
from marketplace.errors import UnusableAccount
from marketplace.metrics import Metrics
from marketplace.server import visited_database
from marketplace.settings import Settings, read_settings


@click.command(name="create-admin")
@click.argument("email")
def create_admin(email: str) -> None:
    """Make EMAIL an administrator: an account that exists keeps its password.

    For a new account the password is asked for, or read from the first line of stdin; it is never an argument.
    """
    settings, address = read_settings(), email.lower()
    with visited_database(settings) as url:
        if not asyncio.run(_appoint(url, address)):
            form = _form(address, password=_password())
            asyncio.run(_register(url, form, settings=settings))
            asyncio.run(_appoint(url, form.email))
    click.echo(f"administrator: {address}")


def _password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _form(email: str, *, password: str) -> Registration:
    try:
        return Registration(email=email, password=SecretStr(password))
    except ValidationError as error:
        reasons = (f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise UnusableAccount(reason="; ".join(reasons).rstrip(".")) from None


async def _appoint(url: URL, email: str) -> bool:
    transactions = Transactions.on(create_async_engine(url, poolclass=NullPool))
    return await transactions.run(appoint, email)


async def _register(url: URL, form: Registration, *, settings: Settings) -> None:
    metrics = Metrics()
    accounts = open_accounts(settings, metrics=metrics)
    try:
        transactions = Transactions.on(create_async_engine(url, poolclass=NullPool))
        await register(transactions, form, accounts=accounts)
    except PasswordTooShort as error:
        raise UnusableAccount(reason=str(error).rstrip(".")) from error
    finally:
        metrics.stop()
