# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_ROUND_NUMBER
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.terms import SealingKind
from tests.support.federation import digest_of, make_federation, with_encoding, with_values
from tests.support.message_strategies import session_fields
from tests.support.noise import gaussian

FEDERATION = make_federation()
FIELDS = FEDERATION.fields(round_number=3, plan_step=2, previous_transcript=digest_of("round 1"))
TERMS = FIELDS.terms

CHANGES: list[tuple[str, Any]] = [
    ("roster_digest", digest_of("another roster")),
    ("key_epoch", 2),
    ("job_id", "job-2"),
    ("spec_digest", digest_of("another spec")),
    ("round_number", 4),
    ("plan_step", 3),
    ("body_digest", digest_of("another body")),
    ("cohort", FIELDS.cohort[:4]),
    ("round_quorum", 5),
    ("previous_transcript", digest_of("another transcript")),
    ("terms", with_values(TERMS, l0=3)),
    ("terms", with_values(TERMS, linf=2)),
    ("terms", replace(TERMS, sealing=SealingKind.PADDED)),
    ("terms", replace(TERMS, unit=Unit.PARTY)),
    ("terms", with_encoding(TERMS, length=5)),
    ("terms", with_encoding(TERMS, scale_bits=3)),
    ("terms", with_encoding(TERMS, lower=-1)),
    ("terms", with_encoding(TERMS, upper=101)),
    ("terms", replace(TERMS, noise=replace(gaussian(TERMS.noise), variance=Fraction(301)))),
    ("terms", replace(TERMS, noise=replace(TERMS.noise, shares=2))),
]


def test_every_field_is_changed_below():
    # The acceptances below: they belong to other terms.
    assert {name for name, _ in CHANGES} == {field.name for field in fields(SessionFields)} - {"acceptances"}


def test_session_id_with_other_acceptances_differs():
    complete = replace(FIELDS, terms=replace(TERMS, sealing=SealingKind.COMPLETE), acceptances=digest_of("acceptances"))
    other = replace(complete, acceptances=digest_of("other acceptances"))
    assert len({each.session_id for each in (FIELDS, complete, other)}) == 3


@pytest.mark.parametrize(
    ("sealing", "acceptances"),
    [
        (SealingKind.DIRECT, digest_of("acceptances")),
        (SealingKind.COMPLETE, b""),
        (SealingKind.COMPLETE_PADDED, bytes(31)),
    ],
)
def test_acceptances_are_named_exactly_where_the_round_is_sealed_completely(sealing, acceptances):
    with pytest.raises(MalformedMessage):
        replace(FIELDS, terms=replace(TERMS, sealing=sealing), acceptances=acceptances)


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=lambda value: value if isinstance(value, str) else "")
def test_session_id_with_another_field_differs(name, value):
    changed = replace(FIELDS, **{name: value})
    assert changed.session_id != FIELDS.session_id


def test_session_ids_of_all_changes_differ_from_each_other():
    ids = {replace(FIELDS, **{name: value}).session_id for name, value in CHANGES}
    assert len(ids) == len(CHANGES)


def test_session_id_frames_the_cohort():
    one = replace(FIELDS, cohort=(PartyId("a"), PartyId("bc")), round_quorum=2)
    other = replace(FIELDS, cohort=(PartyId("ab"), PartyId("c")), round_quorum=2)
    assert one.session_id != other.session_id


@given(session_fields(), session_fields())
def test_session_ids_are_equal_for_equal_fields_only(one, other):
    assert (one.session_id == other.session_id) == (one == other)
    assert len(one.session_id) == 32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("roster_digest", "spec_digest", "body_digest") for value in (b"", bytes(31))),
        ("previous_transcript", bytes(31)),
        ("previous_transcript", b""),
        ("round_number", 0),
        ("round_number", -1),
        ("round_number", 1),
        ("plan_step", 0),
        ("plan_step", 4),
        ("round_number", MAX_ROUND_NUMBER + 1),
        ("cohort", tuple(reversed(FIELDS.cohort))),
        ("cohort", (*FIELDS.cohort, FIELDS.cohort[-1])),
        ("cohort", ()),
        ("round_quorum", 0),
        ("round_quorum", 6),
    ],
)
def test_fields_that_cannot_be_raise(name, value):
    with pytest.raises(MalformedMessage) as refusal:
        replace(FIELDS, **{name: value})
    assert refusal.value.code == "malformed-message"


def test_first_round_with_a_previous_transcript_raises():
    with pytest.raises(MalformedMessage, match="only the first step"):
        FEDERATION.fields(previous_transcript=digest_of("round 0"))


def test_first_step_that_is_asked_again_has_no_previous_transcript():
    again = FEDERATION.fields(round_number=2, plan_step=1)
    assert again.session_id != FEDERATION.fields().session_id
    with pytest.raises(MalformedMessage, match="only the first step"):
        replace(again, previous_transcript=digest_of("round 1"))


def test_body_digest_differs_for_another_body():
    assert body_digest(b"{}") != body_digest(b"{} ")
