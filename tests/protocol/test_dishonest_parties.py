# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Parties that break the protocol in their own name: they are named, and the round goes on without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_aggregator.machines.round_events import (
    ContributionRejected,
    PartialRejected,
    PartialsDisproved,
    RoundTimedOut,
)
from coterie_common.audit.entry import Kind
from coterie_common.errors import StorageError
from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import (
    DecryptionRequest,
    JobProposal,
    Message,
    ModelReceipt,
    PartialDecryption,
    Query,
    Rejection,
)
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.deadlines import pass_deadline
from tests.support.dishonest import doubled_partial, keyless_reply, mauled_reply, overflowing_reply
from tests.support.federation import Federation, digest_of, make_federation
from tests.support.in_process import AGGREGATOR, InProcessFederation
from tests.support.oracle import sum_of_replies
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play, write_wide

CULPRIT = PartyId("party-2")
LAST = PartyId("party-5")
SPEC = make_spec("statistics", {"histograms": ["outlook", "play"]})


def wrong_proof(federation: Federation, partial: PartialDecryption) -> PartialDecryption:
    # Another last byte, whichever it was.
    proof = partial.proof[:-1] + bytes([partial.proof[-1] ^ 1])
    return replace(partial, proof=proof).signed_by(federation.party_keys[partial.party_id])


def events(running: InProcessFederation, kind: type) -> list[object]:
    return [a for who, _, arguments in running.writes if who == AGGREGATOR for a in arguments if isinstance(a, kind)]


@asynchronous
async def test_contribution_with_a_bad_proof_names_its_sender_and_the_round_goes_on(tmp_path):
    federation = make_federation()
    mauled: list[EncryptedReply] = []

    def maul(party_id: PartyId, message: Message) -> Message:
        if party_id == CULPRIT and isinstance(message, EncryptedReply):
            mauled.append(mauled_reply(federation, message))
            return mauled[-1]
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=maul) as running:
        job_id = await running.submit(SPEC)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert events(running, ContributionRejected) == [ContributionRejected(CULPRIT, "invalid-proof")]
        request = next(m for _, m in running.passed if isinstance(m, DecryptionRequest))
        assert CULPRIT not in [c.party_id for c in request.contributions]
        model = Model.from_bytes(running.model(CULPRIT, job_id))
        assert model.lineage.contributors == (4,)
        others = [(p, m) for p, m in running.passed if p != CULPRIT or not isinstance(m, EncryptedReply)]
        assert model.body["count"] == sum_of_replies(federation, others, 1)[0]


@asynchronous
async def test_culprit_of_round_one_is_asked_again_in_round_two(tmp_path):
    federation = make_federation()

    def maul(party_id: PartyId, message: Message) -> Message:
        if party_id == CULPRIT and isinstance(message, EncryptedReply) and message.round_number == 1:
            return mauled_reply(federation, message)
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=maul) as running:
        job_id = await running.submit(tree_spec())
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert Model.from_bytes(running.model(CULPRIT, job_id)).lineage.contributors == (4, 5)


def doubled_with_wrong_proof(federation: Federation, partial: PartialDecryption) -> PartialDecryption:
    return wrong_proof(federation, doubled_partial(federation, partial))


@pytest.mark.parametrize("wrong", [doubled_partial, doubled_with_wrong_proof], ids=["a doubled value", "a wrong proof"])
@asynchronous
async def test_wrong_partial_decryption_names_its_sender_and_the_others_open_the_sum(tmp_path, wrong):
    federation = make_federation()

    def maul(party_id: PartyId, message: Message) -> Message | None:
        if isinstance(message, PartialDecryption):
            if party_id == CULPRIT:
                altered: Message = wrong(federation, message)
                return altered
            # One of the others waits until the wrong one was found out, so that it is among the first four.
            if party_id == LAST and not events(running, PartialsDisproved):
                held.append((party_id, message))
                return None
        return message

    held: list[tuple[PartyId, PartialDecryption]] = []
    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=maul)
    async with running:
        job_id = await running.submit(SPEC)
        await running.wrote("append_round_event", about=PartialsDisproved)
        for party_id, message in held:
            running.to_aggregator(party_id, message)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert events(running, PartialsDisproved) == [PartialsDisproved((CULPRIT,), "invalid-proof")]
        model = Model.from_bytes(running.model(CULPRIT, job_id))
        assert model.lineage.contributors == (5,)
        assert model.body["count"] == sum_of_replies(federation, running.passed, 1)[0]


@asynchronous
async def test_right_partial_decryption_with_a_wrong_proof_opens_the_sum_and_names_nobody(tmp_path):
    federation = make_federation()

    def maul(party_id: PartyId, message: Message) -> Message | None:
        if isinstance(message, PartialDecryption):
            # Without the last one's, the culprit's is needed.
            return wrong_proof(federation, message) if party_id == CULPRIT else None if party_id == LAST else message
        return message

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=maul)
    async with running:
        job_id = await running.submit(SPEC)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert events(running, PartialRejected) == events(running, PartialsDisproved) == []


@asynchronous
async def test_party_with_another_key_share_is_named(tmp_path):
    federation = make_federation()
    shares = {CULPRIT: replace(federation.dealing.shares[0], index=2)}
    datasets = write_play(tmp_path, federation.parties)

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == federation.parties[0] and isinstance(message, PartialDecryption) else message

    running = InProcessFederation(federation, tmp_path, datasets, shares=shares, intercept=lose)
    async with running:
        job_id = await running.submit(statistics_spec())
        await running.wrote("append_round_event", about=PartialsDisproved)
        assert events(running, PartialsDisproved) == [PartialsDisproved((CULPRIT,), "invalid-proof")]
        # Three are left, and four are needed.
        await running.status(job_id, lambda s: s.round is not None and len(s.round.decrypted) == 3)
        pass_deadline(running, job_id, RoundTimedOut())
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert status.reason == "round 1 was aborted: timeout; blamed: party-2"


@asynchronous
async def test_too_many_culprits_fail_the_job_and_are_named(tmp_path):
    federation = make_federation()

    def maul(party_id: PartyId, message: Message) -> Message:
        if party_id in federation.parties[:2] and isinstance(message, PartialDecryption):
            return doubled_partial(federation, message)
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=maul) as running:
        status = await running.result(await running.submit(SPEC))
        assert status.state is JobState.FAILED
        assert status.reason.startswith("round 1 was aborted: too-few-parties; blamed: party-")
        assert {"party-1", "party-2"} <= set(status.reason.replace(",", "").split())


@asynchronous
async def test_all_culprits_are_named_where_every_holder_is_needed(tmp_path):
    federation = make_federation(3, 3)

    def maul(party_id: PartyId, message: Message) -> Message:
        if party_id in federation.parties[:2] and isinstance(message, PartialDecryption):
            return doubled_partial(federation, message)
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=maul) as running:
        status = await running.result(await running.submit(SPEC))
        assert status.state is JobState.FAILED
        assert status.reason == "round 1 was aborted: too-few-parties; blamed: party-1, party-2"


@asynchronous
async def test_sum_with_values_out_of_range_fails_the_job_and_says_so(tmp_path):
    federation = make_federation()

    def overflow(party_id: PartyId, message: Message) -> Message:
        if party_id == CULPRIT and isinstance(message, EncryptedReply):
            return overflowing_reply(federation, message)
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=overflow) as running:
        status = await running.result(await running.submit(SPEC))
        assert status.state is JobState.FAILED
        assert status.reason == (
            "the sum of round 1 is no sum of replies: one of its contributors sealed values outside the agreed "
            "range, and nothing shows which: party-1, party-2, party-3, party-4, party-5; leave some out of the next "
            "job (rounds.without)"
        )
        # The culprit's own honest half finds its signature on what it never sent, and stops.
        assert isinstance(await running.failed(), StorageError)


@asynchronous
async def test_key_part_that_is_no_key_of_a_pad_fails_the_job_and_says_so(tmp_path):
    federation = make_federation()

    def no_key(party_id: PartyId, message: Message) -> Message:
        if party_id == CULPRIT and isinstance(message, EncryptedReply):
            return keyless_reply(federation, message)
        return message

    datasets = write_wide(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, dataset_name="wide", intercept=no_key)
    async with running:
        # 1,501 values: long enough to be padded.
        spec = make_spec("statistics", {"histograms": ["site"]}, dataset="wide")
        status = await running.result(await running.submit(spec))
        assert status.state is JobState.FAILED
        assert status.reason == (
            "the sum of round 1 is no sum of replies: one of its contributors sealed no key of a pad "
            "(invalid-pad-key), and nothing shows which: party-1, party-2, party-3, party-4, party-5; leave some out "
            "of the next job (rounds.without)"
        )
        # Nobody can say who it was: no proof shows that a plaintext is in range.
        assert events(running, ContributionRejected) == []
        # The culprit's own honest half finds its signature on what it never sent, and stops.
        assert isinstance(await running.failed(), StorageError)
        # The suspects are in every party's record, which a restart of the aggregator does not change.
        other = running.federation.parties[0]
        await running.wrote("end_job", by=other)
        (end,) = [entry for entry in running.audit_log(other).entries() if entry.kind is Kind.JOB_END]
        assert status.reason in repr(end.facts)
        (opened,) = [entry for entry in running.audit_log(other).entries() if entry.kind is Kind.DECRYPTION]
        assert opened.job_id == status.job_id


@asynchronous
async def test_job_after_a_spoilt_one_leaves_out_the_suspects(tmp_path):
    """The culprit spoils each sum that it is in; what it is left out of succeeds, so that two jobs name it."""
    federation = make_federation()

    def no_key(party_id: PartyId, message: Message) -> Message | None:
        if party_id == CULPRIT and isinstance(message, EncryptedReply):
            return overflowing_reply(federation, message)
        # Its honest half would stop at what it never sent.
        return None if party_id == CULPRIT and isinstance(message, DecryptionRequest) else message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=no_key) as running:
        for suspect in (federation.parties[2], CULPRIT):
            spec = make_spec("statistics", {"histograms": ["play"]}, without=[suspect], patience_s=1)
            job_id = await running.submit(spec)
            status = await running.result(job_id)
            assert suspect not in [party.party_id for party in status.parties]
            asked = {p for p, m in running.passed if isinstance(m, JobProposal | Query) and _job_of(m) == job_id}
            assert asked == set(federation.parties) - {suspect}
            if suspect == CULPRIT:
                assert status.state is JobState.COMPLETED
                model = Model.from_bytes(await running.aggregator.model(job_id))
                assert model.lineage.contributors == (4,)
            else:
                assert status.state is JobState.FAILED
                assert "party-1, party-2, party-4, party-5; leave some out" in status.reason


def _job_of(message: JobProposal | Query) -> str:
    return message.fields.job_id if isinstance(message, Query) else message.job_id


@asynchronous
async def test_spoilt_round_is_not_asked_again_by_an_aggregator_that_died_before_it_could_say_so(tmp_path):
    federation = make_federation()

    def overflow(party_id: PartyId, message: Message) -> Message | None:
        if party_id == CULPRIT and isinstance(message, EncryptedReply):
            return overflowing_reply(federation, message)
        return None if party_id == CULPRIT and isinstance(message, DecryptionRequest) else message

    datasets = write_play(tmp_path, federation.parties)
    # Five parties accept; the sixth event of the job would be its failure.
    crash = Crash("append_job_event", nth=6)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=overflow, aggregator_crash=crash)
    async with running:
        job_id = await running.submit(make_spec("statistics", {"histograms": ["play"]}, patience_s=1))
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert "party-1, party-2, party-3, party-4, party-5; leave some out" in status.reason
        assert len({m.fields.session_id for _, m in running.passed if isinstance(m, Query)}) == 1
        assert len({m.contribution.digest for _, m in running.passed if isinstance(m, EncryptedReply)}) == 5


@asynchronous
async def test_second_different_reply_is_an_equivocation_and_the_first_counts(tmp_path):
    federation = make_federation()
    sent: list[EncryptedReply] = []
    slow = federation.parties[4]

    def hold(party_id: PartyId, message: Message) -> Message | None:
        if isinstance(message, EncryptedReply):
            if party_id == CULPRIT:
                sent.append(message)
            if party_id == slow and not running.errors:
                return None
        return message

    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, intercept=hold)
    async with running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda s: s.round is not None and CULPRIT in s.round.contributed)
        running.to_aggregator(CULPRIT, sent[0])
        running.to_aggregator(CULPRIT, overflowing_reply(federation, sent[0]))
        error = await running.refused("equivocation", by=AGGREGATOR)
        assert error.culprits == (CULPRIT,)
        # The identical one was no offence.
        assert [e.code for _, e in running.errors] == ["equivocation"]
        await running.reconnect(slow)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        request = next(m for _, m in running.passed if isinstance(m, DecryptionRequest))
        assert sent[0].contribution in request.contributions


@asynchronous
async def test_second_different_partial_decryption_counts_for_nothing(tmp_path):
    federation = make_federation()

    def lose(party_id: PartyId, message: Message) -> Message | None:
        # Only the culprit's arrives, so that the round stays open.
        return None if isinstance(message, PartialDecryption) and party_id != CULPRIT else message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(SPEC)
        await running.status(job_id, lambda s: s.round is not None and s.round.decrypted == (CULPRIT,))
        partial = await running.saw(lambda p, m: p == CULPRIT and isinstance(m, PartialDecryption))
        assert isinstance(partial, PartialDecryption)
        running.to_aggregator(CULPRIT, doubled_partial(federation, partial))
        running.intercept = lambda party_id, message: message
        for party_id in federation.parties:
            await running.reconnect(party_id)
        status = await running.result(job_id)
        assert status.state is JobState.COMPLETED
        assert events(running, PartialRejected) == events(running, PartialsDisproved) == []


@pytest.mark.slow  # a deadline of a second, the shortest there is, must pass
@asynchronous
async def test_reply_to_another_query_counts_for_nothing(tmp_path):
    federation = make_federation()

    def mislead(party_id: PartyId, message: Message) -> Message:
        if party_id == CULPRIT and isinstance(message, EncryptedReply):
            return replace(message, session_id=digest_of("another query"))
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=mislead) as running:
        job_id = await running.submit(statistics_spec(deadline_s=1))
        assert (await running.result(job_id)).state is JobState.COMPLETED
        error = await running.refused("parameter-mismatch", by=AGGREGATOR)
        assert error.culprits == (CULPRIT,)
        assert Model.from_bytes(running.model(CULPRIT, job_id)).lineage.contributors == (4,)


@asynchronous
async def test_reply_of_a_party_that_was_not_asked_is_not_even_kept(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    del datasets[CULPRIT]
    slow = federation.parties[4]

    def hold(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == slow and isinstance(message, EncryptedReply) and not running.errors else message

    running = InProcessFederation(federation, tmp_path, datasets, intercept=hold)
    async with running:
        job_id = await running.submit(statistics_spec())
        other = await running.saw(lambda _, m: isinstance(m, EncryptedReply))
        assert isinstance(other, EncryptedReply)
        contribution = replace(other.contribution, party_id=CULPRIT)
        running.to_aggregator(CULPRIT, replace(other, contribution=contribution))
        error = await running.refused("not-in-cohort", by=AGGREGATOR)
        assert error.culprits == (CULPRIT,)
        assert not (tmp_path / "spool" / job_id / "1" / "contributions" / CULPRIT).exists()
        await running.reconnect(slow)
        assert (await running.result(job_id)).state is JobState.COMPLETED


def in_anothers_name(message: Message) -> Message:
    other = PartyId("party-1")
    match message:
        case EncryptedReply():
            return replace(message, contribution=replace(message.contribution, party_id=other))
        case JobReply() | PartialDecryption() | ModelReceipt():
            return replace(message, party_id=other)
        case _:
            return message


@pytest.mark.slow  # a deadline of a second, the shortest there is, must pass
@pytest.mark.parametrize("kind", [JobReply, EncryptedReply, PartialDecryption, ModelReceipt])
@asynchronous
async def test_message_in_anothers_name_is_refused_and_blames_its_sender(tmp_path, kind):
    federation = make_federation()

    def lie(party_id: PartyId, message: Message) -> Message:
        return in_anothers_name(message) if party_id == CULPRIT and isinstance(message, kind) else message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lie) as running:
        # Only what it lies about must go on without it at a deadline, which others could miss, and be blamed.
        proposal_deadline_s, deadline_s = 1 if kind is JobReply else 30, 1 if kind is EncryptedReply else 30
        spec = statistics_spec(proposal_deadline_s=proposal_deadline_s, deadline_s=deadline_s, patience_s=1)
        status = await running.result(await running.submit(spec))
        assert status.state is JobState.COMPLETED
        blamed = [error for who, error in running.errors if who == AGGREGATOR]
        assert {error.culprits for error in blamed} == {(CULPRIT,)}
        assert {error.code for error in blamed} == {"identity-mismatch"}
        assert isinstance(await running.saw(lambda p, m: p == CULPRIT and isinstance(m, Rejection)), Rejection)


@pytest.mark.slow  # a deadline of a second, the shortest there is, must pass
@pytest.mark.parametrize(
    "change",
    [{"decision": Decision.ACCEPTED}, {"spec_digest": digest_of("x")}, {"signature": bytes(64)}],
    ids=["decision", "specification", "signature"],
)
@asynchronous
async def test_job_reply_that_was_altered_counts_for_nothing(tmp_path, change):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    del datasets[CULPRIT]

    def alter(party_id: PartyId, message: Message) -> Message:
        if party_id == CULPRIT and isinstance(message, JobReply):
            return replace(message, **change)
        return message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=alter) as running:
        job_id = await running.submit(statistics_spec(proposal_deadline_s=1))
        status = await running.result(job_id)
        assert status.state is JobState.COMPLETED
        assert [p.decision for p in status.parties if p.party_id == CULPRIT] == [None]
        assert Model.from_bytes(await running.aggregator.model(job_id)).lineage.contributors == (4,)
