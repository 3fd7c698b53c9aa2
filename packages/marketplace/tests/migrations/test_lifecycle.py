"""A column on its way: model, generate, check, plan, run, revert, in a copy of the marketplace, under requests."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Self
from uuid import UUID

import httpx
import pytest
from shoppers import CUSTOMER, Shopper, log_in
from sqlalchemy import Engine, text

import marketplace
from holdfast.scratch.databases import Postgres
from marketplace import schema

LIMIT = 120
COLUMN = "    weight_in_grams: Mapped[int | None]\n"
# A variant that does not sell out.
POPULAR = text(
    "UPDATE variant_stock SET stock = 1000000"
    " WHERE variant_id = (SELECT min(id::text)::uuid FROM variants) RETURNING variant_id"
)
# One process for all verbs: each call is the command line's own, its imports are paid once.
VERBS = """
import json, sys
from click.testing import CliRunner
from holdfast.cli import holdfast

for line in sys.stdin:
    ended = CliRunner().invoke(holdfast, json.loads(line))
    said = ended.stdout + (repr(ended.exception) if ended.exit_code not in (0, 1) else "")
    print(json.dumps([ended.exit_code, said]), flush=True)
"""


class Copy:
    """The marketplace in a folder of its own, and a database for it."""

    def __init__(self, folder: Path, url: str, postgres: Postgres) -> None:
        self.package = folder / "marketplace"
        shutil.copytree(Path(marketplace.__file__).parent, self.package)
        (folder / "pyproject.toml").write_text(
            '[tool.holdfast]\nscript_location = "marketplace:migrations"\n'
            'file_template = "%(slug)s"\n'
        )
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "DATABASE_URL": url,
            "HOLDFAST_SCRATCH_URL": postgres.url("postgres"),
        }

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", VERBS],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=LIMIT)

    def holdfast(self, *arguments: str) -> tuple[int, str]:
        """Exit status and result."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(arguments), file=self.process.stdin, flush=True)
        status, result = json.loads(self.process.stdout.readline())
        return status, result

    def add_column(self) -> None:
        """As a developer would."""
        file = self.package / "entities" / "variant.py"
        anchor = "    created_at: Mapped[Now]\n"
        file.write_text(file.read_text().replace(anchor, anchor + COLUMN))


@pytest.fixture
def shop_copy(tmp_path: Path, shop: Engine, postgres: Postgres) -> Iterator[Copy]:
    """On a database at the head, in which somebody has bought something."""
    url = shop.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with Copy(tmp_path, url, postgres) as copy:
        yield copy


class Requests:
    """Somebody looks at the shop and buys, again and again."""

    def __init__(self, shopper: Shopper, variant: UUID) -> None:
        self.shopper, self.variant = shopper, variant
        self.answers: Counter[int] = Counter()  # how often which status was answered
        self.is_over, self.is_bought = Event(), Event()
        self.thread = Thread(target=self._go_on)

    def _go_on(self) -> None:
        while not self.is_over.is_set():
            self.answers[self.shopper.get("/products").status_code] += 1
            self.answers[self.shopper.buy((self.variant, 1)).status_code] += 1
            self.is_bought.set()

    def go_on(self) -> None:
        """Return when one more of each was answered, which has begun after this call."""
        for _ in range(2):
            self.is_bought.clear()
            assert self.is_bought.wait(LIMIT), f"no answer within {LIMIT} s"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join(LIMIT)


@pytest.mark.everywhere
def test_a_column_on_its_way(shop_copy: Copy, shop: Engine, api: httpx.Client) -> None:
    """generate writes it, check fails before and passes after, plan shows it, run applies it and revert takes it back.

    Meanwhile the API of the old code is served: no request fails.
    """
    shop_copy.add_column()
    head = schema.known_revisions()[0]
    status, found = shop_copy.holdfast("check", "--since", head)
    assert (status, found.splitlines()[-1]) == (1, "found 1")
    assert shop_copy.holdfast("generate", "add weight")[0] == 0
    written = shop_copy.package / "migrations" / "versions" / "add_weight.py"
    assert "sa.Column('weight_in_grams', sa.Integer(), nullable=True)" in written.read_text()
    assert shop_copy.holdfast("check", "--since", head) == (0, "nothing found\n")
    status, plan = shop_copy.holdfast("plan")
    assert (status, plan.splitlines()[1:]) == (
        0,
        [
            "  1. ALTER TABLE variants ADD COLUMN weight_in_grams INTEGER",
            "     locks: ACCESS EXCLUSIVE on public.variants (blocks reads and writes)",
        ],
    )
    with shop.begin() as connection:
        variant = connection.scalar(POPULAR)
    with Requests(log_in(api, CUSTOMER), variant) as requests:
        requests.go_on()
        assert shop_copy.holdfast("run")[1].startswith("applied 1: ")
        requests.go_on()
        assert shop_copy.holdfast("revert")[1].startswith("reverted 1: ")
        requests.go_on()
    assert set(requests.answers) == {200, 201}
