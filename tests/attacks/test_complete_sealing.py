# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Attacks on complete sealing, against a real party: its aggregator is replaced, and holds the keys of all others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.crypto.masks.mask import PairSecrets
from coterie_common.crypto.masks.pairwise import PairSecret
from coterie_common.errors import InvalidPadKey, PlaintextOutOfRange
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Acceptances, Encapsulations, JobReply
from coterie_common.protocol.job_spec import JobSealing
from coterie_common.protocol.masked_reply import MaskedReply, ReplyList
from coterie_common.protocol.messages import Message, Query, Rejection
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import agreement_of
from coterie_party.store.job_secrets import JobSecrets
from tests.support.asynchronous import asynchronous
from tests.support.federation import FOUNDER, digest_of
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import JOB, PARTIES, SPEC, VICTIM, MaliciousAggregator, attacking
from tests.support.recorders import ManualClock
from tests.support.seeded_random import SeededRandom

COMPLETE = replace(SPEC, sealing=JobSealing.COMPLETE)
OTHERS = PARTIES[1:]
SECRETS = {party_id: EphemeralSecret.generate(SeededRandom(party_id)) for party_id in OTHERS}


@asynccontextmanager
async def attacking_complete(folder: Path, **options: Any) -> AsyncIterator[MaliciousAggregator]:
    policy = generous_policy(sealings=["complete"])
    async with attacking(folder, spec=COMPLETE, policy=policy, **options) as attacker:
        yield attacker


def acceptances_of(attacker: MaliciousAggregator, own: JobReply, cohort: Sequence[PartyId] = PARTIES) -> Acceptances:
    """The victim's acceptance, and those of the others, who collude."""
    replies = [
        own
        if party_id == VICTIM
        else replace(own, party_id=party_id, ephemeral_key=SECRETS[party_id].public.encoded).signed_by(
            attacker.federation.party_keys[party_id]
        )
        for party_id in sorted(cohort)
    ]
    unsigned = Acceptances(job_id=JOB, replies=tuple(replies), signature=UNSIGNED)
    return unsigned.signed_by(attacker.federation.aggregator_key)


async def agreed(attacker: MaliciousAggregator) -> tuple[Acceptances, dict[PartyId, PairSecret]]:
    """The victim accepts, and agrees with everybody on a secret; return what the others know of theirs with it."""
    own = await attacker.tell(attacker.proposal())
    assert isinstance(own, JobReply)
    acceptances = acceptances_of(attacker, own)
    sent = await attacker.tell(acceptances)
    assert isinstance(sent, Encapsulations), sent
    agreement = agreement_of(acceptances, attacker.federation.roster)
    pairs = dict[PartyId, PairSecret]()
    for each in sent.encapsulations:
        alone = replace(agreement, participants={p: agreement.participants[p] for p in (VICTIM, each.recipient)})
        pairs |= {each.recipient: alone.decapsulate(each.recipient, SECRETS[each.recipient], (each,))[VICTIM]}
    return acceptances, pairs


def asked(attacker: MaliciousAggregator, acceptances: Acceptances, **changes: Any) -> SessionFields:
    return attacker.fields(**{"acceptances": acceptances.digest, **changes})


def code_of(answer: Message) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.code


def unmasked(fields: SessionFields, reply: MaskedReply, pairs: dict[PartyId, PairSecret]) -> list[int]:
    """What colluders make of the victim's reply: with every one of them it opens, as it must with all but one."""
    sealing = make_complete_sealing(fields.terms, len(PARTIES))
    total = sealing.check_masked(reply.masked).copy()
    zeros = np.zeros(fields.terms.encoding.length, np.int64)
    for party_id in fields.cohort:
        if party_id != VICTIM and party_id in pairs:
            masks = PairSecrets(party_id, {VICTIM: pairs[party_id]}).masks_for(fields.session_id, (VICTIM, party_id))
            total += masks.cover_values(zeros)
    opened: list[int] = sealing.open(total, len(PARTIES)).tolist()
    return opened


@asynchronous
async def test_reply_opens_with_the_masks_of_all_others_and_without_any_one_of_them_does_not(tmp_path):
    async with attacking_complete(tmp_path) as attacker:
        acceptances, pairs = await agreed(attacker)
        fields = asked(attacker, acceptances)
        reply = await attacker.tell(attacker.query(fields))
        assert isinstance(reply, MaskedReply)
        assert len(unmasked(fields, reply, pairs)) == fields.terms.encoding.length
        for missing in OTHERS:
            with pytest.raises((PlaintextOutOfRange, InvalidPadKey)):
                unmasked(fields, reply, {p: each for p, each in pairs.items() if p != missing})


@asynchronous
async def test_other_acceptances_and_forged_ones_are_refused(tmp_path):
    async with attacking_complete(tmp_path) as attacker:
        own = await attacker.tell(attacker.proposal())
        assert isinstance(own, JobReply)
        honest = acceptances_of(attacker, own)
        forged = replace(own, ephemeral_key=SECRETS[OTHERS[0]].public.encoded)
        swapped = replace(honest, replies=(forged, *honest.replies[1:])).signed_by(attacker.federation.aggregator_key)
        assert code_of(await attacker.tell(swapped)) == "equivocation"
        unsigned = replace(honest, replies=(own, replace(honest.replies[1], signature=bytes(64)), *honest.replies[2:]))
        assert code_of(await attacker.tell(unsigned.signed_by(attacker.federation.aggregator_key))) == (
            "invalid-signature"
        )
        # Fewer than the quorum: the noise of its shares would be too little.
        assert code_of(await attacker.tell(acceptances_of(attacker, own, PARTIES[:3]))) == "not-in-cohort"
        first = await attacker.tell(honest)
        # The same again, byte for byte; and never with others.
        assert await attacker.tell(honest) == first
        fewer = acceptances_of(attacker, own, PARTIES[:4])
        assert code_of(await attacker.tell(fewer)) == "equivocation"


@asynchronous
async def test_acceptance_is_the_same_for_ever(tmp_path):
    async with attacking_complete(tmp_path) as attacker:
        first = await attacker.tell(attacker.proposal())
        assert await attacker.tell(attacker.proposal()) == first


@asynchronous
async def test_two_queries_of_one_round_and_queries_beyond_the_agreement_are_refused(tmp_path):
    async with attacking_complete(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        others = replace(asked(attacker, acceptances), acceptances=digest_of("others"))
        assert code_of(await attacker.tell(attacker.query(others))) == "equivocation"
        # A quorum below the cohort, and a cohort below the quorum of the federation.
        fields = asked(attacker, acceptances)
        terms = fields.terms.in_shares(4 - attacker.federation.parameters.corruption_bound)
        assert code_of(await attacker.tell(attacker.query(replace(fields, round_quorum=4, terms=terms)))) == (
            "quorum-too-small"
        )
        small = asked(attacker, acceptances, cohort=PARTIES[:3])
        assert code_of(await attacker.tell(attacker.query(small))) == "quorum-too-small"
        reply = await attacker.tell(attacker.query(fields))
        assert isinstance(reply, MaskedReply)
        assert await attacker.tell(attacker.query(fields)) == reply
        # Shown to one half of the parties only, it would be a second vector under this party's noise.
        half = asked(attacker, acceptances, cohort=PARTIES[:4])
        assert code_of(await attacker.tell(attacker.query(half))) == "already-answered"


@asynchronous
async def test_round_that_was_sealed_completely_is_not_opened_by_decryption(tmp_path):
    async with attacking_complete(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        fields = asked(attacker, acceptances)
        await attacker.tell(attacker.query(fields))
        under_the_key = attacker.federation.contribution(OTHERS[0], fields.session_id)
        request = attacker.request(fields, (under_the_key,))
        assert code_of(await attacker.tell(request)) == "unexpected-message"


@pytest.mark.parametrize("how", ["omitted", "altered"])
@asynchronous
async def test_list_that_omits_or_alters_its_reply_ends_the_party_s_part(tmp_path, how):
    async with attacking_complete(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        fields = asked(attacker, acceptances)
        reply = await attacker.tell(attacker.query(fields))
        assert isinstance(reply, MaskedReply)
        rest = tuple((party_id, digest_of(party_id)) for party_id in OTHERS)
        wrong = rest if how == "omitted" else ((VICTIM, digest_of("another reply")), *rest)
        for replies, code in ((wrong, "altered-reply-list"), (((VICTIM, reply.digest), *rest), "secrets-erased")):
            listed = ReplyList(session_id=fields.session_id, replies=replies)
            second = asked(attacker, acceptances, round_number=2, previous_transcript=listed.digest)
            query = Query(fields=second, body=attacker.body, previous=listed, signature=UNSIGNED)
            answer = await attacker.tell(query.signed_by(attacker.federation.aggregator_key))
            # The honest list comes too late: the secrets went with the wrong one.
            assert code_of(answer) == code
        codes = [entry.facts.get("code") for entry in attacker.running.audit_log(VICTIM).entries()]
        assert "altered-reply-list" in codes


@asynchronous
async def test_secrets_are_erased_at_the_declared_time_by_the_party_s_own_clock(tmp_path):
    clock = ManualClock()
    async with attacking_complete(tmp_path, clock=clock) as attacker:
        acceptances, _ = await agreed(attacker)
        secrets = JobSecrets(tmp_path / VICTIM / "ephemeral" / FOUNDER)
        assert secrets.jobs() == (JOB,)
        clock.pass_seconds(COMPLETE.max_duration.total_seconds() + 1)
        assert code_of(await attacker.tell(attacker.query(asked(attacker, acceptances)))) == "secrets-erased"
        assert secrets.jobs() == ()
        clock.pass_seconds(-COMPLETE.max_duration.total_seconds())
        assert code_of(await attacker.tell(attacker.query(asked(attacker, acceptances)))) == "secrets-erased"
