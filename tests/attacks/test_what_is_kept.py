# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Nobody fills a party's disk or memory: of what it refuses, or never agreed to, next to nothing is kept.

An aggregator invents jobs, rounds and models; a scientist has jobs refused by all; a party withholds receipts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.limits import JOB_TERMS_BYTES
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.messages import Message, ModelDelivery, ModelReceipt, Rejection
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.malicious_aggregator import VICTIM, MaliciousAggregator, attacking, memory
from tests.support.models import make_model
from tests.support.small_jobs import statistics_spec, tree_spec, write_play


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "terms",
    [b"[" + b" " * (JOB_TERMS_BYTES // 2), b"\xff" * (JOB_TERMS_BYTES // 2), None],
    ids=["no terms", "no text", "a policy that refuses"],
)
@asynchronous
async def test_refused_proposal_leaves_digests_only(tmp_path, terms):
    policy = generous_policy() if terms is not None else generous_policy(algorithms=("statistics",))
    async with attacking(tmp_path, policy=policy) as attacker:
        before = size(tmp_path / VICTIM)
        for number in range(3):
            changes = {} if terms is None else {"terms": terms}
            reply = await attacker.tell(attacker.proposal(job_id=JobId(f"job-{number}"), **changes))
            assert isinstance(reply, JobReply)
            assert reply.decision is Decision.REFUSED
        store = attacker.running.party_store(VICTIM)
        assert [(job.spec, job.terms) for job in store.jobs()] == [(b"", b"")] * 3
        assert size(tmp_path / VICTIM) - before < 1 << 20
        # It stays bound: another specification under the same id comes too late, the same one gets the same answer.
        other = replace(attacker.spec, name="other").to_bytes()
        assert getattr(await attacker.tell(attacker.proposal(job_id=JobId("job-0"), spec=other)), "code", "") == (
            "equivocation"
        )


@asynchronous
async def test_invented_rounds_leave_nothing(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        store = attacker.running.party_store(VICTIM)
        before = memory(store)
        for number in range(1, 41):
            job_id = JobId(f"invented-{number}")
            fields = attacker.fields(job_id=job_id)
            # Well formed, signed by the aggregator, and by nobody else: members it has no keys of.
            forged = tuple(replace(c, signature=bytes(64)) for c in attacker.contributions(fields, attacker.others[:4]))
            answer = await attacker.tell(attacker.request(fields, forged))
            assert getattr(answer, "code", "") == "invalid-signature", answer
            assert getattr(await attacker.tell(attacker.query(fields)), "code", "") == "unknown-round"
        assert memory(store) == before
        # The state of a round is what the store says: nothing that lives in memory is about an invented one.
        party = attacker.running.parties[VICTIM]
        lives = {
            name
            for part in (party, party._rounds, party._rounds._work, party._waiting)
            for name, value in vars(part).items()
            # The context is the test's own: it remembers everything that passed.
            if name != "_context" and "invented-" in repr(value)
        }
        assert lives == set()


@pytest.mark.parametrize("known", ["never proposed", "refused", "held"])
@asynchronous
async def test_model_of_a_job_that_was_not_accepted_is_not_kept(tmp_path, known):
    policy = {"refused": generous_policy(algorithms=("statistics",)), "held": generous_policy(automatic=False)}
    async with attacking(tmp_path, policy=policy.get(known, generous_policy())) as attacker:
        if known != "never proposed":
            await attacker.accepted()
        before = memory(attacker.running.party_store(VICTIM))
        answer = await attacker.tell(attacker.delivery(model_of(attacker)))
        assert isinstance(answer, Rejection)
        assert answer.code == ("unknown-round" if known == "never proposed" else "consent-denied")
        assert not (tmp_path / VICTIM / "models").exists()
        assert memory(attacker.running.party_store(VICTIM)) == before


@asynchronous
async def test_model_of_an_accepted_job_is_kept_once_however_often_it_comes(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        for _ in range(3):
            assert isinstance(await attacker.tell(attacker.delivery(model_of(attacker))), ModelReceipt)
        assert len(list((tmp_path / VICTIM / "models").iterdir())) == 1


def model_of(attacker: MaliciousAggregator) -> bytes:
    model = make_model()
    lineage = model.lineage.model_copy(update={"job_id": "job-1", "job_spec_digest": attacker.spec.digest.hex()})
    own = Model(name=model.name, algorithm=model.algorithm, schema=model.schema, body=model.body, lineage=lineage)
    return own.to_bytes()


@asynchronous
async def test_party_that_withholds_receipts_is_sent_one_model_at_a_time(tmp_path):
    federation = make_federation(3, 3)
    silent = federation.parties[0]

    def withhold(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == silent and isinstance(message, ModelReceipt) else message

    running = InProcessFederation(
        federation,
        tmp_path,
        write_play(tmp_path, federation.parties),
        intercept=withhold,
    )
    async with running:
        first = await running.submit(statistics_spec(patience_s=1))
        assert (await running.result(first)).state is JobState.COMPLETED
        second = await running.submit(tree_spec(patience_s=1))
        assert (await running.result(second)).state is JobState.COMPLETED
        await running.settled()

        def sent() -> list[JobId]:
            return [m.job_id for party_id, m in running.passed if party_id == silent and isinstance(m, ModelDelivery)]

        # The first was never confirmed, so the second waits; the next stream brings that one.
        assert sent() == [first]
        await running.reconnect(silent)
        await running.saw(
            lambda party_id, m: party_id == silent and isinstance(m, ModelDelivery) and m.job_id == second
        )
        assert sent() == [first, second]
        # Once the jobs ended, no model stays in memory for whoever may confirm it one day.
        assert all(live._delivery._delivery is None for live in running.aggregator._jobs.values())
        assert Model.from_bytes(await running.aggregator.model(second)).lineage.job_id == second
