# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Attacks on complete sealing, against a real party: its aggregator is replaced, and holds the keys of all others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.errors import InvalidPadKey, PlaintextOutOfRange
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.masked_reply import MaskedReply, ReplyList
from coterie_common.protocol.messages import Query
from coterie_common.protocol.signed import UNSIGNED
from coterie_party.store.files.job_secrets import JobSecrets
from tests.support.asynchronous import asynchronous
from tests.support.complete_attacks import (
    COMPLETE,
    OTHERS,
    SECRETS,
    acceptances_of,
    agreed,
    asked,
    attacking_complete,
    code_of,
    unmasked,
)
from tests.support.federation import FOUNDER, digest_of
from tests.support.malicious_aggregator import JOB, PARTIES, VICTIM
from tests.support.recorders import ManualClock


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
