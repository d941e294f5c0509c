# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coterie_common.crypto.hashing import Item, Label, long_hash, tuple_hash
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol import messages as m
from tests.support.federation import digest_of

JOB, PARTY = JobId("job"), PartyId("alpha")
ONE, TWO, THREE = digest_of("one"), digest_of("two"), digest_of("three")

Signed = Callable[..., tuple[Label, tuple[Item, ...]]]

SIGNED: list[tuple[Signed, tuple[Any, ...], tuple[Any, ...]]] = [
    # function, arguments, and another value of each
    (m.JobProposal.signed_items, (JOB, ONE, b"spec", b"terms"), (JobId("other"), TWO, b"spec2", b"terms2")),
    (
        m.JobReply.signed_items,
        (JOB, PARTY, (ONE, TWO), m.Decision.REFUSED, ("data", "no such file")),
        (JobId("other"), PartyId("beta"), (TWO, ONE), m.Decision.HELD, ("datano", " such file")),
    ),
    (m.Query.signed_items, (ONE,), (TWO,)),
    (m.Contribution.signed_items, (ONE, PARTY, TWO, THREE), (TWO, PartyId("beta"), THREE, ONE)),
    (m.DecryptionRequest.signed_items, (ONE,), (TWO,)),
    (
        m.PartialDecryption.signed_items,
        (ONE, TWO, PARTY, (b"ab", b"c"), b"proof"),
        (TWO, ONE, PartyId("beta"), (b"a", b"bc"), b"other"),
    ),
    (m.ModelDelivery.signed_items, (JOB, b"model"), (JobId("other"), b"model2")),
    (m.ModelReceipt.signed_items, (JOB, PARTY, ONE), (JobId("other"), PartyId("beta"), TWO)),
    (m.JobEnd.signed_items, (JOB, m.JobOutcome.FAILED, "why"), (JobId("other"), m.JobOutcome.CANCELLED, "because")),
]


def hashed(signed: Signed, arguments: tuple[Any, ...]) -> bytes:
    label, items = signed(*arguments)
    return tuple_hash(label, *items)


@pytest.mark.parametrize(
    ("signed", "arguments", "others"), SIGNED, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_signature_covers_every_field(signed: Signed, arguments: tuple[Any, ...], others: tuple[Any, ...]) -> None:
    plain = hashed(signed, arguments)
    for position, other in enumerate(others):
        changed = (*arguments[:position], other, *arguments[position + 1 :])
        assert hashed(signed, changed) != plain, position


def test_every_kind_of_signature_has_a_label_of_its_own() -> None:
    labels = [signed(*arguments)[0] for signed, arguments, _ in SIGNED]
    assert len(set(labels)) == len(SIGNED)


def test_proposal_names_the_digests_that_a_reply_repeats() -> None:
    proposal = m.JobProposal(job_id=JOB, roster_digest=ONE, spec=b"spec", terms=b"terms", signature=bytes(64))
    assert len({proposal.spec_digest, proposal.terms_digest, tuple_hash(Label.JOB_SPEC, b"terms")}) == 3


def test_contribution_digest_covers_all_of_it() -> None:
    key_part = m.KeyPart(ciphertexts=(b"c",), proof=b"p")
    base = {"party_id": PARTY, "key_part": key_part, "padded_digest": ONE, "signature": bytes(64)}
    others: dict[str, Any] = {
        "party_id": PartyId("beta"),
        "key_part": m.KeyPart(ciphertexts=(b"c",), proof=b"q"),
        "padded_digest": TWO,
        "signature": b"x" * 64,
    }
    digests = {m.Contribution(**(base | {name: value})).digest for name, value in others.items()}  # type: ignore[arg-type]
    assert len(digests | {m.Contribution(**base).digest}) == 5  # type: ignore[arg-type]


def test_nothing_padded_is_the_digest_of_no_bytes() -> None:
    assert m.padded_digest(b"") == m.NOTHING_PADDED != m.padded_digest(b"\0")


def test_model_delivery_and_receipt_name_the_same_digest() -> None:
    delivery = m.ModelDelivery(job_id=JOB, model=b"model", signature=bytes(64))
    assert delivery.model_digest == long_hash(Label.MODEL, b"model")
