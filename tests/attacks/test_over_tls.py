# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's own checks, on the stream that it really has: its gRPC client, mutual TLS, and an aggregator replaced.

The party enforces quorums, spare rounds and complete sealing by itself. After each refusal, ledger and rounds are as
they were, its record has the refusal, and it goes on with the honest job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial as bind
from typing import Any

import pytest

from coterie_common.audit.entry import Kind
from coterie_common.crypto.masks.ephemeral import EphemeralKey
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import (
    Acceptances,
    Encapsulation,
    Encapsulations,
    JobReply,
    RelayedEncapsulations,
)
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply, ReplyList
from coterie_common.protocol.messages import AggregatorMessage, PartialDecryption, Query
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import SealingKind
from coterie_common.wire.federation import aggregator_message_to_wire
from coterie_common.wire.pb.federation_pb2 import AggregatorEnvelope
from coterie_party.store import ReservationStatus
from coterie_party.store.files.job_secrets import JobSecrets
from tests.support.asynchronous import asynchronous
from tests.support.complete_attacks import (
    OTHERS,
    SECRETS,
    acceptances_of,
    agreed,
    asked,
    attacking_complete,
    code_of,
    encapsulated,
    encapsulating,
    unmasked,
)
from tests.support.federation import FOUNDER, digest_of
from tests.support.malicious_aggregator import (
    JOB,
    MIDDLE,
    PARTIES,
    VICTIM,
    MaliciousAggregator,
    attacking,
    memory,
    open_honestly,
)
from tests.support.over_tls import OverTls
from tests.support.small_jobs import tree_spec

COMMITTED, RESERVED = ReservationStatus.COMMITTED, ReservationStatus.RESERVED
STRANGER = PartyId("zeno")
NO_SIGNATURE = bytes(64)

threshold_mode = bind(attacking, kind=OverTls)
complete_mode = bind(attacking_complete, kind=OverTls)


def refusals(attacker: MaliciousAggregator) -> list[str]:
    """The codes of the refusals in the party's record."""
    entries = attacker.running.audit_log(attacker.victim).entries()
    return [str(entry.facts["code"]) for entry in entries if entry.kind is Kind.REFUSAL]


def statuses(attacker: MaliciousAggregator) -> list[ReservationStatus]:
    return [entry.status for entry in attacker.running.party_store(attacker.victim).ledger("play")]


async def refused(attacker: MaliciousAggregator, message: AggregatorMessage | bytes) -> str:
    """Say something; return the code with which it is refused. Nothing comes of it but an entry in the record."""
    store, before = attacker.running.party_store(attacker.victim), len(refusals(attacker))
    remembered = memory(store)
    code = code_of(await attacker.tell(message))
    assert memory(store) == remembered
    assert refusals(attacker)[before:] == [code]
    return code


# Quorums and spare rounds, under the threshold key.


def in_shares_of(attacker: MaliciousAggregator, quorum: int, fields: SessionFields) -> SessionFields:
    shares = quorum - attacker.federation.parameters.corruption_bound
    return replace(fields, round_quorum=quorum, terms=fields.terms.in_shares(shares))


def with_quorum_above_the_cohort(attacker: MaliciousAggregator) -> bytes:
    """No such query can be made here, so it is made of another one's bytes."""
    envelope = AggregatorEnvelope.FromString(aggregator_message_to_wire(attacker.query()))
    envelope.query.fields.round_quorum = len(PARTIES) + 1
    return envelope.SerializeToString()


Attack = Callable[[MaliciousAggregator], AggregatorMessage | bytes]

OUT_OF_RANGE: dict[str, tuple[str, Attack]] = {
    "a cohort below the quorum": ("quorum-too-small", lambda a: a.query(a.fields(cohort=PARTIES[:3]))),
    "a cohort without the party": ("not-in-cohort", lambda a: a.query(a.fields(cohort=PARTIES[1:]))),
    "a stranger in the cohort": ("not-in-cohort", lambda a: a.query(a.fields(cohort=(*PARTIES, STRANGER)))),
    "a quorum below the federation's": ("quorum-too-small", lambda a: a.query(in_shares_of(a, 3, a.fields()))),
    "a quorum above the cohort": ("malformed-message", with_quorum_above_the_cohort),
    "noise divided by more than the quorum": (
        "noise-insufficient",
        lambda a: a.query(replace(in_shares_of(a, 5, a.fields()), round_quorum=4)),
    ),
}


@asynchronous
async def test_cohort_or_quorum_out_of_range_is_refused_and_recorded(tmp_path):
    async with threshold_mode(tmp_path) as attacker:
        await attacker.accepted()
        for name, (code, attack) in OUT_OF_RANGE.items():
            assert await refused(attacker, attack(attacker)) == code, name
        assert statuses(attacker) == [RESERVED] * 2
        await open_honestly(attacker, await attacker.answered())
        assert statuses(attacker) == [COMMITTED, RESERVED]


@asynchronous
async def test_sum_of_fewer_replies_than_the_query_counted_on_is_not_opened(tmp_path):
    async with threshold_mode(tmp_path) as attacker:
        await attacker.accepted()
        fields = in_shares_of(attacker, 5, attacker.fields())
        reply = await attacker.answered(fields)
        four = (reply.contribution, *attacker.contributions(fields, attacker.others[:3]))
        assert await refused(attacker, attacker.request(fields, four)) == "quorum-too-small"
        five = (*four, *attacker.contributions(fields, attacker.others[3:]))
        assert isinstance(await attacker.tell(attacker.request(fields, five)), PartialDecryption)


@asynchronous
async def test_spare_round_is_no_free_question(tmp_path):
    async with threshold_mode(tmp_path, spec=tree_spec(spare_rounds=1)) as attacker:
        await attacker.accepted()
        assert statuses(attacker) == [RESERVED] * 3
        first, second, third = (
            in_shares_of(attacker, 5, attacker.fields(number, plan_step=1, previous_transcript=b""))
            for number in (1, 2, 3)
        )
        await attacker.answered(first)
        assert statuses(attacker) == [COMMITTED, RESERVED, RESERVED]
        again = await attacker.answered(second)
        assert statuses(attacker) == [COMMITTED, RESERVED, COMMITTED]
        assert await refused(attacker, attacker.query(third)) == "unknown-round"
        assert (await attacker.answered(second)).contribution == again.contribution


# Complete sealing.


@asynchronous
async def test_second_query_of_a_completely_sealed_round_is_refused(tmp_path):
    async with complete_mode(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        fields = asked(attacker, acceptances)
        for name, (code, attack) in {
            "a cohort below the quorum": ("quorum-too-small", asked(attacker, acceptances, cohort=PARTIES[:3])),
            "a quorum below the cohort": ("quorum-too-small", in_shares_of(attacker, 4, fields)),
            "other acceptances": ("equivocation", replace(fields, acceptances=digest_of("others"))),
        }.items():
            assert await refused(attacker, attacker.query(attack)) == code, name
        reply = await attacker.tell(attacker.query(fields))
        assert isinstance(reply, MaskedReply)
        spent = statuses(attacker)
        half = asked(attacker, acceptances, cohort=PARTIES[:4])
        assert await refused(attacker, attacker.query(half)) == "already-answered"
        assert await attacker.tell(attacker.query(fields)) == reply
        assert statuses(attacker) == spent == [COMMITTED, RESERVED]


def forged(attacker: MaliciousAggregator, own: JobReply) -> Acceptances:
    """The aggregator's own key in another party's name, to share that party's secret with the victim."""
    honest = acceptances_of(attacker, own)
    first, *rest = honest.replies[1:]
    return replace(honest, replies=(own, replace(first, ephemeral_key=SECRETS[OTHERS[-1]].public.encoded), *rest))


def replayed(attacker: MaliciousAggregator, own: JobReply) -> Acceptances:
    """What the others signed for another job, whose secrets the aggregator may have by now."""
    honest = acceptances_of(attacker, own)
    before = acceptances_of(attacker, replace(own, job_id=JobId("job-0")))
    return replace(honest, replies=(own, *(replace(each, job_id=JOB) for each in before.replies[1:])))


def swapped(attacker: MaliciousAggregator, own: JobReply) -> Acceptances:
    """Another key for the victim itself."""
    honest = acceptances_of(attacker, own)
    return replace(honest, replies=(replace(own, ephemeral_key=SECRETS[OTHERS[0]].public.encoded), *honest.replies[1:]))


def unsigned(attacker: MaliciousAggregator, own: JobReply) -> Acceptances:
    """What another party would have accepted with, and zeros where its signature should be."""
    honest = acceptances_of(attacker, own)
    first, *rest = honest.replies[1:]
    return replace(honest, replies=(own, replace(first, signature=NO_SIGNATURE), *rest))


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (unsigned, "invalid-signature"),
        (forged, "invalid-signature"),
        (replayed, "invalid-signature"),
        (swapped, "equivocation"),
    ],
    ids=["unsigned", "forged", "replayed from another job", "swapped"],
)
@asynchronous
async def test_acceptance_that_is_not_the_members_own_for_this_job_is_refused(tmp_path, attack, code):
    async with complete_mode(tmp_path) as attacker:
        own = await attacker.tell(attacker.proposal())
        assert isinstance(own, JobReply)
        key = attacker.federation.aggregator_key
        assert await refused(attacker, attack(attacker, own).signed_by(key)) == code
        assert isinstance(await attacker.tell(acceptances_of(attacker, own)), Encapsulations)


def wrong_encapsulations(
    attacker: MaliciousAggregator, acceptances: Acceptances, own: JobReply
) -> dict[str, tuple[str, RelayedEncapsulations]]:
    """What the victim may not take from the two below it, and how it refuses each."""
    honest, _ = encapsulated(attacker, acceptances)
    one, other = honest.encapsulations
    # What the same two signed for a job before: their secrets of it may be known by now.
    former = JobId("job-0")
    before = replace(acceptances_of(attacker, replace(own, job_id=former)), job_id=former)
    replayed, _ = encapsulated(attacker, before)
    renamed = tuple(
        replace(each, job_id=JOB, acceptances=now.acceptances)
        for each, now in zip(replayed.encapsulations, honest.encapsulations, strict=True)
    )
    _, known = EphemeralKey(own.ephemeral_key).encapsulate()

    def signed_anew(**changes: Any) -> Encapsulation:
        return replace(other, **changes).signed_by(attacker.federation.party_keys[other.sender])

    def relaying(*encapsulations: Encapsulation) -> RelayedEncapsulations:
        return replace(honest, encapsulations=encapsulations)

    swapped = replace(one, ciphertext=other.ciphertext), replace(other, ciphertext=one.ciphertext)
    reversed_acceptances = (other.acceptances[1], other.acceptances[0])
    return {
        "of zeros as a signature": ("invalid-signature", relaying(replace(one, signature=NO_SIGNATURE), other)),
        "of a secret of the aggregator's": ("invalid-signature", relaying(one, replace(other, ciphertext=known))),
        "without a signature": ("malformed-message", relaying(replace(one, signature=UNSIGNED), other)),
        "with each other's ciphertexts": ("invalid-signature", relaying(*swapped)),
        "in each other's place": ("malformed-message", relaying(other, one)),
        "one twice": ("malformed-message", relaying(one, one)),
        "one in the other's name": (
            "invalid-signature",
            relaying(one, replace(one, sender=other.sender, acceptances=other.acceptances)),
        ),
        "one left out": ("malformed-message", relaying(one)),
        "for another party": ("parameter-mismatch", relaying(one, signed_anew(recipient=PARTIES[3]))),
        "over other acceptances": ("parameter-mismatch", relaying(one, signed_anew(acceptances=reversed_acceptances))),
        "replayed from another job": ("parameter-mismatch", relaying(*replayed.encapsulations)),
        "replayed in the name of this job": ("invalid-signature", relaying(*renamed)),
    }


@asynchronous
async def test_encapsulation_that_is_not_its_senders_own_for_this_job_is_refused(tmp_path):
    async with complete_mode(tmp_path, victim=MIDDLE) as attacker:
        kept = tmp_path / MIDDLE / "ephemeral" / FOUNDER / JOB
        acceptances, pairs = await encapsulating(attacker)
        own = acceptances.replies[PARTIES.index(MIDDLE)]
        secrets = kept.read_bytes()
        for name, (code, wrong) in wrong_encapsulations(attacker, acceptances, own).items():
            assert await refused(attacker, wrong) == code, name
            assert kept.read_bytes() == secrets, name
        # Without secrets it shares with everybody, it masks nothing.
        fields = asked(attacker, acceptances)
        assert await refused(attacker, attacker.query(fields)) == "secrets-erased"
        assert statuses(attacker) == [RESERVED] * 2

        honest, before = encapsulated(attacker, acceptances)
        attacker.running.to_party(MIDDLE, honest)
        # Signed by the same two, but too late: the secrets are those of the first.
        later, _ = encapsulated(attacker, acceptances)
        attacker.running.to_party(MIDDLE, later)
        reply = await attacker.tell(attacker.query(fields))
        assert isinstance(reply, MaskedReply)
        assert len(unmasked(fields, reply, pairs | before)) == fields.terms.encoding.length
        assert statuses(attacker) == [COMMITTED, RESERVED]


@asynchronous
async def test_encapsulations_before_the_acceptances_are_refused(tmp_path):
    async with complete_mode(tmp_path, victim=MIDDLE) as attacker:
        own = await attacker.tell(attacker.proposal())
        assert isinstance(own, JobReply)
        acceptances = acceptances_of(attacker, own)
        relayed, _ = encapsulated(attacker, acceptances)
        assert await refused(attacker, relayed) == "unexpected-message"
        assert isinstance(await attacker.tell(acceptances), Encapsulations)


@pytest.mark.parametrize("how", ["omitted", "altered"])
@asynchronous
async def test_list_without_the_partys_own_reply_ends_its_part(tmp_path, how):
    async with complete_mode(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        fields = asked(attacker, acceptances)
        assert isinstance(await attacker.tell(attacker.query(fields)), MaskedReply)
        rest = tuple((party_id, digest_of(party_id)) for party_id in OTHERS)
        listed = ReplyList(
            session_id=fields.session_id,
            replies=rest if how == "omitted" else ((VICTIM, digest_of("another reply")), *rest),
        )
        second = asked(attacker, acceptances, round_number=2, previous_transcript=listed.digest)
        query = Query(fields=second, body=attacker.body, previous=listed, signature=UNSIGNED)
        assert await refused(attacker, query.signed_by(attacker.federation.aggregator_key)) == "altered-reply-list"
        assert JobSecrets(tmp_path / VICTIM / "ephemeral" / FOUNDER).jobs() == ()
        assert statuses(attacker) == [COMMITTED, RESERVED]


@asynchronous
async def test_reply_is_not_sealed_again_in_the_other_mode(tmp_path):
    async with complete_mode(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        fields = asked(attacker, acceptances)
        under_the_key = replace(fields, terms=replace(fields.terms, sealing=SealingKind.DIRECT), acceptances=b"")
        before = await refused(attacker, attacker.query(under_the_key))
        assert isinstance(await attacker.tell(attacker.query(fields)), MaskedReply)
        after = await refused(attacker, attacker.query(under_the_key))
        assert (before, after) == ("parameter-mismatch", "parameter-mismatch")
        # Nor is the sum of its round opened by decryption.
        contributions = (attacker.federation.contribution(OTHERS[0], fields.session_id),)
        assert await refused(attacker, attacker.request(fields, contributions)) == "unexpected-message"
        assert statuses(attacker) == [COMMITTED, RESERVED]


@asynchronous
async def test_reply_under_the_key_is_not_sealed_again_completely(tmp_path):
    async with threshold_mode(tmp_path) as attacker:
        await attacker.accepted()
        fields = attacker.fields()
        complete = replace(fields.terms, sealing=SealingKind.COMPLETE)
        masked = replace(fields, terms=complete, acceptances=digest_of("acceptances"), round_quorum=len(PARTIES))
        assert await refused(attacker, attacker.query(masked)) == "parameter-mismatch"
        assert isinstance(await attacker.tell(attacker.query(fields)), EncryptedReply)
        assert await refused(attacker, attacker.query(masked)) == "parameter-mismatch"
        assert statuses(attacker) == [COMMITTED, RESERVED]


@asynchronous
async def test_no_secret_is_on_the_disk_after_the_job(tmp_path):
    async with complete_mode(tmp_path) as attacker:
        acceptances, _ = await agreed(attacker)
        folder = tmp_path / VICTIM / "ephemeral"
        assert JobSecrets(folder / FOUNDER).jobs() == (JOB,)
        attacker.running.to_party(VICTIM, attacker.end())
        await attacker.running.wrote("erase", by=VICTIM)
        assert [path for path in folder.rglob("*") if path.is_file()] == []
        assert code_of(await attacker.tell(attacker.query(asked(attacker, acceptances)))) == "stale-round"
