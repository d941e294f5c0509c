# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import inspect

import pytest

from coterie_common.audit import evidence
from coterie_common.protocol.verification import contribution, party_messages, query, request


@pytest.mark.parametrize(
    "module", [contribution, party_messages, query, request, evidence], ids=lambda module: module.__name__
)
def test_no_public_function_of_a_verification_takes_the_checks_to_run(module):
    functions = inspect.getmembers(module, inspect.isfunction)
    own = {name: f for name, f in functions if f.__module__ == module.__name__ and not name.startswith("_")}
    assert own
    assert [name for name, function in own.items() if "checks" in inspect.signature(function).parameters] == []
