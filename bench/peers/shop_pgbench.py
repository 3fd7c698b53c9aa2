"""The product's SQL with pgbench, prepared, one thread: what the server gives to a client that costs nothing.

`shop_pgbench.py PROGRAM WORKERS SECONDS`. The scripts are the product's statements, with expressions of pgbench where
the product has parameters. Each client rotates sessions of its own, whose tokens are made of number and generation.
"""

import json
import re
import subprocess
import sys
import tempfile

from shop_load import COLUMNS, read_world

WORLD = read_world()
SQL, EACH = WORLD["sql"], WORLD["rotating"] // int(sys.argv[2])


def key(kind: str, number: str) -> str:
    """As `seeded.py` makes keys."""
    return f"('{kind}' || lpad(to_hex({number}::bigint), 30, '0'))::uuid"


def token_digest(generation: str) -> str:
    return f"sha256((:n::text || ' ' || ({generation})::text)::bytea)"


SESSION = SQL["session"].replace("%s", f"ARRAY[{key('a9', ':n')}]")
ROTATE = SQL["rotate"] % {
    "id": key("a9", ":n"),
    "generation": ":g",
    "presented": token_digest(":g"),
    "successor": token_digest(":g + 1"),
    "nonce": "decode('000102030405060708090a0b0c0d0e0f', 'hex')",
    "idle": "interval '14 days'",
    "user_agent": "'a browser'",
    "ip_address": "'192.0.2.7'::inet",
    "shown": "'01234567'",
}


def take(*variables: str) -> str:
    wanted = ", ".join(f"{key('a4', f':{variable}')}::text, 1" for variable in variables)
    return SQL["take"].replace("%s", f"json_build_object({wanted})")


# `\\gset` takes one row: the lines as the answer has them.
SHOWN = ", ".join(f"'{name}', {name}" for name in COLUMNS)
LINES = f"""WITH taken AS ({take("a", "b", "c")})
SELECT json_agg(json_build_object({SHOWN}, 'line_number', number, 'total', unit_price)) AS lines
FROM (SELECT *, row_number() OVER (ORDER BY variant_id) AS number FROM taken) AS numbered"""
USER, KEY, TOTALS = key("a0", ":u"), "(:k)::text", {"subtotal": 300, "shipping": 490, "total": 790}
ANSWER = ", ".join(f"'{name}', {amount}" for name, amount in TOTALS.items())
PLACE = SQL["place"] % {
    "id": key("ac", ":k"),
    "user_id": USER,
    "currency": "'EUR'",
    **TOTALS,
    "now": "now()",
    "event_id": key("ad", ":k"),
    "key": KEY,
    "method": "'POST'",
    "path": "'/checkout'",
    "fingerprint": f"sha256(({KEY})::bytea)",
    "response": f"json_build_object('id', {key('ac', ':k')}, {ANSWER}, 'lines', :lines::json)",
    "expires_at": "now() + interval '1 day'",
}
FIRST, STEP = WORLD["first_session"], 3
SCRIPTS = {
    "session": f"\\set n {FIRST} + {STEP} * random(0, {len(WORLD['sessions']) - 1})\n{SESSION};",
    "rotate": f"\\set i :i + 1\n\\set n {FIRST} + {STEP} * (:client_id * {EACH} + :i % {EACH})\n"
    f"\\set g :i / {EACH}\n{ROTATE}\\gset",
    "stock": f"\\set a random(1, {len(WORLD['variants'])})\n{take('a')};",
    "order": f"""
\\set u random(1, {len(WORLD["users"])})
\\set k random(1, 9000000000000000000)
\\set a random(1, 3333)
\\set b random(3334, 6666)
\\set c random(6667, 10000)
BEGIN;
{SQL["claim"] % (f"{USER}::text || ' ' || {KEY}", USER, KEY)};
{LINES}
\\gset
{PLACE};
COMMIT;""",
}


def rate(name: str, script: str) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=f".{name}.sql") as file:
        file.write(script)
        file.flush()
        program, workers, seconds = sys.argv[1:]
        address = [
            "-h",
            WORLD["socket"],
            "-p",
            str(WORLD["port"]),
            "-U",
            WORLD["user"],
            WORLD["database"],
        ]
        load = [
            "-n",
            "-c",
            workers,
            "-j",
            "1",
            "-T",
            seconds,
            "-M",
            "prepared",
            "-D",
            "i=-1",
            "-f",
            file.name,
        ]
        ended = subprocess.run(
            [program, *load, *address], capture_output=True, text=True, check=False
        )
    found = re.search(r"tps = ([\d.]+)", ended.stdout)
    failed = ended.returncode != 0 or "aborted" in ended.stderr
    if failed or found is None:
        sys.exit(f"pgbench failed on {name}:\n{ended.stderr}\n{script}")
    return float(found[1])


print(json.dumps({name: rate(name, script) for name, script in SCRIPTS.items()}))
