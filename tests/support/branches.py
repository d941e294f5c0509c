# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Records the branches that the tests of some areas take; ``[tool.coverage.run]`` in pyproject.toml names the code.

    scripts/test -p tests.support.branches
    .venv/bin/coverage combine

Tracing takes half again the processor time of whatever runs. So it is on while the code in question is imported, which
runs every definition, and during the tests that were written for this code; not while tests are collected. Every
process leaves a file of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from coverage import Coverage

TRACED = (
    "tests/attacks/test_decryption_request.py",
    "tests/attacks/test_key_generation.py",
    "tests/properties/test_crypto_masks.py",
    "tests/unit/aggregator/test_job.py",
    "tests/unit/aggregator/test_round.py",
    "tests/unit/crypto/",
    "tests/unit/party/test_round.py",
    "tests/unit/privacy/",
    "tests/unit/protocol/",
    "tests/vectors/",
)
"""Tests of these areas that are in other folders are added here."""

_coverage = Coverage(data_suffix=True)


def _runs_tests(session: pytest.Session) -> bool:
    """Return whether this process runs tests itself, and does not only deal them to workers."""
    return bool(session.config.getoption("dist", "no") == "no")


def _import_all(name: str) -> None:
    """Import a module, and what is below it if it is a package."""
    module = importlib.import_module(name)
    for below in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        _import_all(below.name)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Trace the imports."""
    if not _runs_tests(session):
        return
    names = _coverage.get_option("run:source_pkgs")
    assert isinstance(names, list)
    _coverage.start()
    for name in names:
        _import_all(name)
    _coverage.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace a test of the code in question, with its fixtures."""
    is_traced = item.nodeid.startswith(TRACED)
    if is_traced:
        _coverage.start()
    try:
        return (yield)
    finally:
        if is_traced:
            _coverage.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write down what this process saw."""
    if _runs_tests(session):
        _coverage.save()
