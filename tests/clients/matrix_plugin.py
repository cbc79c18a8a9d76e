"""The fixtures of matrix_test.py: which client a case runs with.

A client has its driver process for the whole run; a case that kills one
starts another. What a client does not have, its Kind says with a reason, and it has no such case.
"""
import os

import pytest

import clients


def pytest_addoption(parser):
    parser.addoption("--clients", help="only these clients, by name, with commas")


def wanted(config):
    names = config.getoption("--clients")
    return [kind for kind in clients.KINDS if not names or kind.name in names.split(",")]


def pytest_generate_tests(metafunc):
    if "kind" not in metafunc.fixturenames:
        return
    case = metafunc.function.__name__.removeprefix("test_")
    having = [kind for kind in wanted(metafunc.config) if case not in kind.lacks]
    metafunc.parametrize("kind", having, ids=[kind.name for kind in having], scope="session")


@pytest.fixture(scope="session")
def installed(kind):
    if not kind.is_installed():
        text = f"{kind.name} is not installed: tests/clients/matrix/install.sh does that"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    return kind


@pytest.fixture(scope="session")
def session_client(installed):
    one = clients.Client(installed)
    yield one
    one.kill()


@pytest.fixture
def client(session_client):
    """The client whose process all its cases share."""
    assert session_client.is_alive(), "".join(session_client.said)[-3000:]
    yield session_client
    session_client.close_all()


@pytest.fixture
def victim(installed):
    """A second process of the same client, to be killed."""
    one = clients.Client(installed)
    yield one
    one.kill()


@pytest.fixture
def topic4(kafka, name):
    """A topic of four partitions."""
    from conftest import create_topic  # which loads this file
    return create_topic(kafka, name, partitions=4)
