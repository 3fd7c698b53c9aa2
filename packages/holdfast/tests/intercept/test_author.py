"""What is refused is named by the line that its author wrote."""

import pytest
from alembic_project import Project

from holdfast.errors.statement import LongStatement
from holdfast.migrate.run import upgrade


def test_the_line_of_a_refused_statement(project: Project) -> None:
    """Whatever helper has sent it, and in whatever words: the author reads the file and the line of his own call."""
    project.revision("op.execute('CREATE TABLE t AS SELECT a FROM generate_series(1, 100) AS a')")
    upgrade(project.config, "head")
    revision = project.revision(
        """
        def helper(connection):
            connection.execute(sa.text('ALTER TABLE t SET UNLOGGED'))

        op.add_column('t', sa.Column('c', sa.Text))
        helper(
            op.get_bind()
        )
        """
    )
    file = project.file(revision)
    [line] = [n for n, text in enumerate(file.read_text().splitlines(), 1) if "execute(sa" in text]
    with pytest.raises(LongStatement) as refused:
        upgrade(project.config, "head")
    assert refused.value.parts()[0] == (
        f"{file.name}:{line}: Refused, because public.t is in use: ALTER TABLE t SET UNLOGGED"
    )
