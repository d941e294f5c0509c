# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie_common import document
from coterie_common.clock import SystemClock
from coterie_common.crypto.threshold import combine
from coterie_common.errors import MalformedMessage, QuorumTooSmall
from coterie_common.learning.agreement import PlannedJob, plan_job, propose_terms
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Query
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedFacts
from coterie_common.protocol.sealing.choice import make_sealing
from coterie_common.protocol.session import body_digest
from coterie_common.protocol.verification.contribution import verify_reply
from coterie_common.protocol.verification.party_messages import verify_partial
from coterie_common.protocol.verification.request import OwnKnowledge
from coterie_party.live.context import Context
from coterie_party.live.job_data import JobData
from coterie_party.live.rounds import arithmetic as answering
from coterie_party.training.confinement import Confinement
from coterie_party.training.process import TrainingLimits
from tests.support.bindings import FixedBindings
from tests.support.federation import make_federation
from tests.support.in_process import generous_policy
from tests.support.noise import gaussian
from tests.support.oracle import sealed_vector
from tests.support.policies import FixedPolicy
from tests.support.present import present
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, rows_of, write_play

FEDERATION = make_federation()
PARTY = FEDERATION.parties[0]
COUNTS: dict[str, Any] = {"histograms": ["outlook", "play"]}
NOISY = make_spec("statistics", COUNTS)
EXACT = make_spec("statistics", COUNTS, privacy={"placement": "none"})


def make_context(random: Any) -> Context:
    """What answering needs; it never writes."""
    nothing: Any = None
    return Context(
        party_id=PARTY,
        roster=FEDERATION.roster,
        key=FEDERATION.dealing.key,
        encryptor=FEDERATION.encryptor,
        make_sealing=make_sealing,
        share=FEDERATION.dealing.shares[0],
        signing_key=FEDERATION.party_keys[PARTY],
        bindings=FixedBindings({}),
        policies=FixedPolicy(generous_policy()),
        store=nothing,
        audit=nothing,
        notes=nothing,
        padded=nothing,
        secrets=nothing,
        models=Path(),
        training=TrainingLimits(),
        confinement=Confinement(),
        random=random,
        clock=SystemClock(),
        writer=nothing,
        workers=nothing,
        incidents=nothing,
    )


def query_of(spec: JobSpec, **changes: Any) -> tuple[Query, Any]:
    planned = plan_job(spec)
    terms = propose_terms(planned, FEDERATION.parameters, FEDERATION.dealing.key.public_key.plaintext_bits).rounds[0]
    ask = planned.algorithm.next_ask(planned.algorithm.initial_state(planned.config, planned.schema))
    assert ask is not None
    body = changes.pop("body", document.encode(dict(ask.body)))
    fields = FEDERATION.fields(spec_digest=spec.digest, body_digest=body_digest(body), terms=terms, **changes)
    return Query(fields=fields, body=body, signature=bytes(64)), planned


def answer(folder: Path, spec: JobSpec, random: Any) -> tuple[EncryptedReply, Query]:
    query, planned = query_of(spec)
    reply = answering.answer(make_context(random), query, job_data(folder, planned), no_padded_part)
    assert isinstance(reply, EncryptedReply)
    return reply, query


def job_data(folder: Path, planned: PlannedJob) -> JobData:
    dataset = load_dataset(write_play(folder, FEDERATION.parties)[PARTY], planned.schema)
    return JobData(planned, {planned.algorithm.records: dataset}, TrainingLimits(), SystemClock())


def no_padded_part(piece: bytes) -> None:
    pytest.fail("a directly sealed reply has a padded part")


def exact_counts() -> list[int]:
    rows = rows_of(0)
    outlooks = [sum(row["outlook"] == name for row in rows) for name in ("sunny", "rain", "clouds")]
    return [len(rows), *outlooks, *(sum(row["play"] == name for row in rows) for name in ("no", "yes"))]


def own_knowledge(session_id: bytes | None, contribution_digest: bytes) -> OwnKnowledge:
    return OwnKnowledge(
        party_id=PARTY,
        roster=FEDERATION.roster,
        session_id=session_id,
        contribution_digest=contribution_digest,
        random=FEDERATION.random,
    )


def test_answer_without_noise_seals_exactly_what_the_algorithm_counts(tmp_path):
    reply, query = answer(tmp_path, EXACT, SeededRandom("answer"))
    vector = sealed_vector(FEDERATION, reply, query.fields)
    assert vector.tolist() == [count << query.fields.terms.encoding.scale_bits for count in exact_counts()]


def test_answer_is_a_reply_that_the_aggregator_accepts(tmp_path):
    reply, query = answer(tmp_path, NOISY, SeededRandom("answer"))
    verify_reply(
        reply, PaddedFacts(0, NOTHING_PADDED), query.fields, FEDERATION.roster, FEDERATION.sealing(query.fields.terms)
    )
    assert (reply.job_id, reply.round_number) == (query.fields.job_id, 1)
    assert reply.session_id == query.fields.session_id
    assert reply.contribution.party_id == PARTY


def test_answer_adds_a_noise_share_of_the_size_in_the_terms(tmp_path):
    query, planned = query_of(NOISY)
    data = job_data(tmp_path, planned)
    context = make_context(SeededRandom("noise"))
    exact = np.array(exact_counts()) << query.fields.terms.encoding.scale_bits
    noise: list[int] = []
    for _ in range(60):
        reply = answering.answer(context, query, data, no_padded_part)
        assert isinstance(reply, EncryptedReply)
        noise += (sealed_vector(FEDERATION, reply, query.fields) - exact).tolist()
    terms = query.fields.terms.noise
    variance = present(gaussian(terms).variance)
    # 360 values: the variance of a normal sample is within 4·√(2/360) = 0.3 of the true one but for α = 6e-5.
    assert np.var(noise) == pytest.approx(float(variance / terms.shares), rel=0.3)
    assert abs(np.mean(noise)) < 4 * np.sqrt(float(variance / terms.shares) / len(noise))


def test_answer_again_draws_fresh_noise_and_nonces(tmp_path):
    random = SeededRandom("twice")
    (one, query), (other, _) = answer(tmp_path, NOISY, random), answer(tmp_path, NOISY, random)
    assert one.contribution.key_part.ciphertexts != other.contribution.key_part.ciphertexts
    vectors = [sealed_vector(FEDERATION, reply, query.fields).tolist() for reply in (one, other)]
    assert vectors[0] != vectors[1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"length":0}',
        b'{"length":6}',
        b'{"length": 6}',
        document.encode({"length": 6, "means": [], "histograms": ["outlook", "wind"], "steps": 4096}),
        document.encode({"length": 6, "means": [], "histograms": ["outlook", "play"], "steps": 4095}),
        document.encode({"length": 7, "means": [], "histograms": ["outlook", "play"], "steps": 4096}),
    ],
    ids=lambda body: body.decode()[:40],
)
def test_check_ask_of_what_the_job_does_not_ask_raises(body):
    query, planned = query_of(NOISY, body=body)
    with pytest.raises(MalformedMessage) as refusal:
        answering.check_ask(query, planned)
    assert refusal.value.code == "malformed-message"


def test_check_ask_with_another_length_in_the_terms_raises():
    query, planned = query_of(NOISY)
    shorter = replace(query, fields=replace(query.fields, terms=query.fields.terms.shortened(5)))
    with pytest.raises(MalformedMessage, match="another number of values"):
        answering.check_ask(shorter, planned)


def test_partial_decryption_of_the_verified_sum_is_accepted_and_opens_it(tmp_path):
    fields = FEDERATION.fields()
    contributions = tuple(FEDERATION.contribution(p, fields.session_id, [4] * 6) for p in FEDERATION.parties)
    request = FEDERATION.request(fields, contributions)
    context = make_context(SeededRandom("partial"))
    verified = answering.verify(context, request, own_knowledge(fields.session_id, contributions[0].digest))
    values = {}
    for index, party_id in enumerate(FEDERATION.parties[:4], start=1):
        own = replace(
            context,
            party_id=party_id,
            share=FEDERATION.dealing.shares[index - 1],
            signing_key=FEDERATION.party_keys[party_id],
        )
        partial = answering.decrypt_partially(own, fields.job_id, 1, verified)
        values[index] = verify_partial(
            partial,
            fields.session_id,
            verified.transcript_digest,
            verified.total,
            FEDERATION.dealing.key,
            FEDERATION.roster,
        )
    opened = FEDERATION.sealing().open(combine(FEDERATION.dealing.key, verified.total, values), 5)
    assert opened.tolist() == [20] * 6


def test_verify_goes_by_what_the_party_knows_itself():
    fields = FEDERATION.fields()
    contributions = tuple(FEDERATION.contribution(p, fields.session_id) for p in FEDERATION.parties)
    context = make_context(SeededRandom("verify"))
    request = FEDERATION.request(fields, contributions[:3])
    with pytest.raises(QuorumTooSmall):
        answering.verify(context, request, own_knowledge(None, contributions[0].digest))
