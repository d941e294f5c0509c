# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common import document
from coterie_common.errors import MalformedMessage
from coterie_common.limits import JOB_TERMS_BYTES, MAX_ROUNDS
from coterie_common.protocol.terms import JobTerms
from tests.support.federation import make_federation
from tests.support.message_strategies import terms

TERMS = make_federation().terms()


@given(st.lists(terms, min_size=1, max_size=4))
def test_terms_survive_the_round_trip(rounds):
    job = JobTerms(tuple(rounds))
    again = JobTerms.from_bytes(job.to_bytes())
    assert again == job
    assert again.to_bytes() == job.to_bytes()


@given(terms, terms)
def test_different_terms_enter_the_session_differently(one, other):
    assert (one.items() == other.items()) == (one == other)


@pytest.mark.parametrize("count", [0, MAX_ROUNDS + 1])
def test_terms_of_impossibly_many_rounds_raise(count):
    with pytest.raises(MalformedMessage, match=str(count)):
        JobTerms((TERMS,) * count)


def altered(**changes: Any) -> bytes:
    return document.encode([{**TERMS.to_document(), **changes}])


def altered_values(**changes: Any) -> bytes:
    return altered(values={**TERMS.values.to_document(), **changes})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[1]",
        b"[[]]",
        altered(sealing="twice"),
        altered(sealing=1),
        altered(unit="household"),
        altered(unit=None),
        altered_values(l0=0),
        altered_values(l0=2**31 + 1),
        altered_values(l0="1"),
        altered_values(linf=0),
        altered_values(linf=True),
        altered_values(linf=2**62 + 1),
        altered_values(encoding={}),
        altered_values(kind="vectors"),
        altered_values(kind="other"),
        altered_values(kind=["counts"]),
        altered(values=[]),
        altered(noise={}),
        altered(extra=1),
        document.encode([{name: value for name, value in TERMS.to_document().items() if name != "unit"}]),
        json.dumps([TERMS.to_document()]).encode(),
        b"[" + b" " * JOB_TERMS_BYTES + b"]",
    ],
    ids=lambda data: data[-30:].decode(),
)
def test_bytes_that_are_no_terms_raise(data):
    with pytest.raises(MalformedMessage) as refusal:
        JobTerms.from_bytes(data)
    assert refusal.value.code == "malformed-message"


@pytest.mark.parametrize("length", [1, 5, 6])
def test_shortened_terms_differ_in_length_only(length):
    shorter = TERMS.shortened(length)
    assert shorter.encoding.length == length
    assert shorter.shortened(1) == TERMS.shortened(1)


@pytest.mark.parametrize("length", [-1, 0, 7])
def test_shortened_beyond_the_plan_raises(length):
    with pytest.raises(MalformedMessage, match="planned for 6"):
        TERMS.shortened(length)
