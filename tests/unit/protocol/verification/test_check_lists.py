# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A module that verifies opens with the list of its checks, and repeats each number where the check is made."""

from __future__ import annotations

import inspect
import re

import pytest

from coterie_common.protocol.verification import (
    acceptance,
    contribution,
    encapsulation,
    masked_reply,
    party_messages,
    query,
    request,
)

LISTS = [
    pytest.param(acceptance, acceptance.ACCEPTANCES_CHECKS, id="acceptances"),
    pytest.param(encapsulation, encapsulation.ENCAPSULATION_CHECKS, id="encapsulation"),
    pytest.param(masked_reply, masked_reply.MASKED_REPLY_CHECKS, id="masked reply"),
    pytest.param(contribution, contribution.REPLY_CHECKS, id="reply"),
    pytest.param(party_messages, party_messages.PARTIAL_CHECKS, id="partial"),
    pytest.param(query, query.QUERY_CHECKS, id="query"),
    pytest.param(request, request.REQUEST_CHECKS, id="request"),
]


@pytest.mark.parametrize(("module", "checks"), LISTS)
def test_module_opens_with_its_checks_by_number(module, checks):
    listed = re.findall(r"^(\d+)\. (.+)$", module.__doc__ or "", re.M)
    assert listed == [(str(check.number), check.name) for check in checks]
    assert [check.number for check in checks] == list(range(1, len(checks) + 1))


@pytest.mark.parametrize(("module", "checks"), LISTS)
def test_number_of_a_check_is_repeated_where_it_is_made(module, checks):
    marked = re.findall(r"^# Check (\d+)\.\ndef (\w+)\(", inspect.getsource(module), re.M)
    assert marked == [(str(check.number), check.run.__name__) for check in checks]
