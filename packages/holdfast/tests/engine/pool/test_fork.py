"""A process that forks after it has connected: in processes of the test's own."""

import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent("""
    import os, sys
    from sqlalchemy import text
    from holdfast import create_engine
    from holdfast import Settings

    def pid():
        with engine.connect() as connection:
            return connection.scalar(text("SELECT pg_backend_pid()"))

    engine = create_engine(Settings(profile="test", url=sys.argv[1], pool={"max": 2, "min": 2}))
    engine.pool.prewarm()
    parent = pid()
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(pid()).encode())
        engine.dispose()
        os._exit(0)  # as a worker of a prefork server ends
    os.wait()
    child = int(os.read(read, 100))
    print(parent == pid(), parent != child, engine.pool.figures().idle)
""")


def test_a_child_leaves_the_connections_of_its_parent_alone(database: str) -> None:
    """The child connects anew; the parent's connections live on after the child has disposed and ended."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, database]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["True", "True", "2"]
