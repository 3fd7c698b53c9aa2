"""`marketplace create-admin EMAIL`: the first administrator, whom nobody else could appoint."""

import asyncio
import sys

import click
from pydantic import SecretStr, ValidationError
from sqlalchemy import URL

from marketplace.accounts.context import open_accounts
from marketplace.accounts.problems import PasswordTooShort, PasswordTooWeak
from marketplace.accounts.schemas import Credentials
from marketplace.accounts.service.administration import appoint
from marketplace.accounts.service.registration import add_verified
from marketplace.database import Transactions
from marketplace.errors import UnusableAccount
from marketplace.metrics import Metrics
from marketplace.server import transactions_of_command, visited_database
from marketplace.settings import Settings, read_settings


@click.command(name="create-admin")
@click.argument("email")
def create_admin(email: str) -> None:
    """Make EMAIL an administrator: an account whose address is verified keeps its password.

    For any other one the password is asked for, or read from the first line of stdin; it is never an argument.
    """
    settings, address = read_settings(), email.lower()
    with visited_database(settings) as url:
        asyncio.run(_make(url, address, settings=settings))
    click.echo(f"administrator: {address}")


def _password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _form(email: str, *, password: str) -> Credentials:
    try:
        return Credentials(email=email, password=SecretStr(password))
    except ValidationError as error:
        reasons = (f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise UnusableAccount(reason="; ".join(reasons).rstrip(".")) from None


async def _make(url: URL, address: str, *, settings: Settings) -> None:
    async with transactions_of_command(url, profile=settings.profile) as transactions:
        if await transactions.write(appoint, address):
            return
        form = _form(address, password=_password())
        await _add(transactions, form, settings=settings)
        await transactions.write(appoint, form.email)


async def _add(transactions: Transactions, form: Credentials, *, settings: Settings) -> None:
    accounts = open_accounts(settings, metrics=Metrics())
    try:
        await add_verified(transactions, form.email, password=form.password, accounts=accounts)
    except (PasswordTooShort, PasswordTooWeak) as error:
        raise UnusableAccount(reason=str(error).rstrip(".")) from error
