"""What is tried on a cluster, where HOLDFAST_TEST_CITUS_URL names a coordinator; the run says where it does not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic_project import Project
from citus_cluster import URL, Cluster, database_on_cluster

LEFT_OUT = "HOLDFAST_TEST_CITUS_URL names no coordinator of a Citus cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing is started for what is left out."""
    here = Path(__file__).parent
    if not URL:
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A database of the module's own on the cluster."""
    with database_on_cluster(f"holdfast_test_{os.getpid()}") as cluster:
        yield cluster


@pytest.fixture
def on_cluster(cluster: Cluster, tmp_path: Path) -> Iterator[Project]:
    """An empty project on an empty database of the cluster."""
    cluster.clear()
    yield Project(folder=tmp_path / "project", database=cluster.coordinator)
    cluster.clear()
