"""A process that forks after it has connected, in a process of the test's own."""

import json
import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent("""
    import gc, json, os, sys
    from contextlib import suppress
    from sqlalchemy import text
    from holdfast import Database, Settings

    CALLS = {
        "uses the pool": lambda database, used: pid_of_another(database.engine),
        "detaches": lambda database, used: used.detach(),
        "detaches and closes": lambda database, used: (used.detach(), used.close()),
        "invalidates": lambda database, used: used.invalidate(),
        "executes": lambda database, used: used.execute(text("SELECT 1")),
        "rolls back": lambda database, used: used.rollback(),
        "returns": lambda database, used: used.close(),
        "disposes": lambda database, used: database.engine.dispose(),
        "disposes without closing": lambda database, used: database.engine.dispose(close=False),
        "stops": lambda database, used: database.stop(),
        "stops without closing": lambda database, used: database.stop(close=False),
        "looks": lambda database, used: database.health(),
        "ends": lambda database, used: os._exit(0),
    }

    def pid(connection):
        return connection.scalar(text("SELECT pg_backend_pid()"))

    def pid_of_another(engine):
        with engine.connect() as connection:
            return pid(connection)

    def in_child(database, used, call):
        with suppress(Exception):  # it may be told that an inherited connection has ended
            call(database, used)
        with suppress(Exception):
            used.close()
        found = []
        with suppress(Exception):
            while len(found) < 9:
                found.append(database.engine.connect())
        return len(found)

    def fork(call):
        limits = {"max": 2, "min": 2, "timeout": "300ms"}
        database = Database(Settings(profile="test", url=sys.argv[1], pool=limits))
        engine = database.engine
        engine.pool.prewarm()
        used = engine.connect()
        used.execute(text("SET LOCAL work_mem = '1MB'"))
        before = pid(used), pid_of_another(engine)
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                os.write(write, str(in_child(database, used, call)).encode())
            finally:
                os._exit(0)  # as a worker of a prefork server ends
        os.wait()
        os.close(write)
        counted = os.read(read, 100).decode()
        goes_on = used.scalar(text("SHOW work_mem")) == "1MB"
        is_same = before == (pid(used), pid_of_another(engine))
        used.close()
        database.stop()
        return counted, goes_on, is_same

    print(json.dumps({name: fork(call) for name, call in CALLS.items()}))
""")


def test_a_child_leaves_its_parent_alone(database: str) -> None:
    """Whatever it calls first: the parent's transaction and connections live on; it has two of its own, never more."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, database]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    found = json.loads(ended.stdout or "{}")
    assert found.pop("ends") == ["", True, True], ended.stderr
    assert found == {name: ["2", True, True] for name in found}, ended.stderr
