"""The texts of the letters, each kind as one record; `{...}` is filled in by the code that writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from marketplace.entities import LetterKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The subject and text of a kind of letter."""

    subject: str
    text: str


TEMPLATES: Mapping[LetterKind, Template] = MappingProxyType(
    {
        LetterKind.NEW_ACCOUNT: Template(
            subject="Verify your e-mail address",
            text="""\
Somebody, we hope you, wants to make an account with this address. This token verifies the address, and sets
the password that you choose with it:

    {token}

If it was not you, nothing needs to be done: without this letter nobody can use the account.
""",
        ),
        LetterKind.KNOWN_ACCOUNT: Template(
            subject="Your account",
            text="""\
Somebody, perhaps you, has asked for an account or a new password with this address, which has an account
already. You can log in as before. If you have forgotten the password, this token sets another one:

    {token}

If it was not you, nothing needs to be done: without this letter nobody can change the password.
""",
        ),
        LetterKind.NEW_DEVICE: Template(
            subject="A log in on a new device",
            text="""\
Somebody has logged in to your account on a device, or from an address, that was not used before:

    {device}
    {address}

If it was not you, set another password: that ends every session.
""",
        ),
        LetterKind.EMAIL_CHANGE: Template(
            subject="Confirm your new e-mail address",
            text="""\
Somebody, we hope you, wants to use this address for an account of theirs. This token confirms it:

    {token}

If it was not you, nothing needs to be done.
""",
        ),
        LetterKind.EMAIL_CHANGE_ASKED: Template(
            subject="Another e-mail address was asked for",
            text="""\
Somebody who is logged in to your account wants to replace this address by {new_email}. That happens once
the new address is confirmed.

If it was not you, set another password: that ends every session, and the change with it.
""",
        ),
        LetterKind.EMAIL_CHANGED: Template(
            subject="Your e-mail address was changed",
            text="""\
The address of your account was {old_email}, and is {new_email} now. Every session has ended: log in with the
new address.
""",
        ),
        LetterKind.EMAIL_TAKEN: Template(
            subject="Your account",
            text="""\
Somebody, perhaps you, wants to use this address for another account. It has one already, so nothing was changed.
""",
        ),
        LetterKind.SECOND_FACTOR_CHANGED: Template(
            subject="Your second factor was changed",
            text="""\
{what}

If it was not you, set another password, and ask the shop for help.
""",
        ),
        LetterKind.ACCOUNT_DELETED: Template(
            subject="Your account was deleted",
            text="""\
Your account was deleted, as you asked. Of your orders we keep what the law keeps: what was bought and paid,
without your address.
""",
        ),
        LetterKind.REFUND: Template(
            subject="Money of an order goes back to you",
            text="""\
Of your order {order} an amount of {amount} {currency} goes back to you. Your bank may take some days for it.
""",
        ),
    }
)
