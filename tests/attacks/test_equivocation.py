# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An aggregator that tells different parties different things, each in good order: no party can notice alone, and the
parties' records side by side show who was told what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from coterie_common.audit.comparison import Difference, compare
from coterie_common.audit.export import Export
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import JobOutcome, ModelReceipt, PartialDecryption, Rejection
from tests.support.asynchronous import asynchronous
from tests.support.federation import FOUNDER, make_federation
from tests.support.in_process import InProcessFederation
from tests.support.malicious_aggregator import JOB, MaliciousAggregator, Silence
from tests.support.models import make_model
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

Attackers = tuple[MaliciousAggregator, ...]
ONE, TWO, THREE = (PartyId(f"party-{index}") for index in (1, 2, 3))


@asynccontextmanager
async def attacking(folder: Path) -> AsyncIterator[Attackers]:
    """Three of five parties, each told things by itself."""
    federation = make_federation()
    running = InProcessFederation(
        federation,
        folder,
        write_play(folder, federation.parties),
        absent=federation.parties[3:],
        instead_of_aggregator=Silence(),
    )
    async with running:
        yield tuple(MaliciousAggregator(federation, running, statistics_spec(), p) for p in (ONE, TWO, THREE))


def records(attackers: Attackers) -> list[Export]:
    exports = [attacker.running.record_of(attacker.victim) for attacker in attackers]
    # As they travel between parties.
    exports = [Export.from_bytes(export.to_bytes()) for export in exports]
    assert [export.verify(FOUNDER) for export in exports] == [()] * len(exports)
    return exports


def differences(attackers: Attackers) -> dict[tuple[str, int, str], Difference]:
    found = compare(records(attackers)).differences
    return {(difference.job_id, difference.round_number, difference.what): difference for difference in found}


def told(difference: Difference) -> set[tuple[str, ...]]:
    assert all(version.is_signed for version in difference.versions)
    return {version.parties for version in difference.versions}


@asynchronous
async def test_parties_that_were_told_the_same_agree(tmp_path):
    async with attacking(tmp_path) as attackers:
        fields = attackers[0].fields()
        for attacker in attackers:
            await attacker.accepted()
            await attacker.answered(fields)
        comparison = compare(records(attackers))
        assert (comparison.differences, comparison.jobs, comparison.rounds) == ((), 1, 1)


@asynchronous
async def test_two_jobs_under_one_id_are_exposed(tmp_path):
    async with attacking(tmp_path) as attackers:
        other = replace(attackers[2], spec=tree_spec())
        for attacker in (*attackers[:2], other):
            await attacker.accepted()
        found = differences(attackers)
        assert told(found[JOB, 0, "job specification"]) == {(ONE, TWO), (THREE,)}


@asynchronous
async def test_two_queries_of_one_round_are_exposed_with_what_differs(tmp_path):
    async with attacking(tmp_path) as attackers:
        fields = attackers[0].fields()
        fewer = replace(fields, cohort=fields.cohort[:-1])
        for attacker, asked in zip(attackers, (fields, fewer, fields), strict=True):
            await attacker.accepted()
            await attacker.answered(asked)
        found = differences(attackers)
        assert set(found) == {(JOB, 1, "query (session id)"), (JOB, 1, "cohort")}
        assert told(found[JOB, 1, "query (session id)"]) == {(ONE, THREE), (TWO,)}
        values = {version.value for version in found[JOB, 1, "cohort"].versions}
        assert values == {", ".join(fields.cohort), ", ".join(fewer.cohort)}


@asynchronous
async def test_query_that_a_party_refused_is_held_against_the_one_that_others_answered(tmp_path):
    async with attacking(tmp_path) as attackers:
        fields = attackers[0].fields()
        fewer = replace(fields, cohort=fields.cohort[:-1])
        for attacker in attackers:
            await attacker.accepted()
            await attacker.answered(fields)
        refusal = await attackers[1].tell(attackers[1].query(fewer))
        assert isinstance(refusal, Rejection)
        difference = differences(attackers)[JOB, 1, "query (session id)"]
        assert told(difference) == {(ONE, TWO, THREE), (TWO,)}
        assert [version.refused_by for version in difference.versions] == [(), (TWO,)]


@asynchronous
async def test_refused_message_that_the_aggregator_did_not_sign_is_held_against_nobody(tmp_path):
    async with attacking(tmp_path) as attackers:
        fields = attackers[0].fields()
        for attacker in attackers:
            await attacker.accepted()
            await attacker.answered(fields)
        fewer = replace(fields, cohort=fields.cohort[:-1])
        refusal = await attackers[1].tell(replace(attackers[1].query(fewer), signature=bytes(64)))
        assert isinstance(refusal, Rejection)
        assert differences(attackers) == {}


@asynchronous
async def test_two_transcripts_of_one_round_are_exposed(tmp_path):
    async with attacking(tmp_path) as attackers:
        fields = attackers[0].fields()
        replies = []
        for attacker in attackers:
            await attacker.accepted()
            replies.append((await attacker.answered(fields)).contribution)
        first = attackers[0]
        fourth, fifth = first.contributions(fields, first.federation.parties[3:])
        everybody, without = (*replies, fourth, fifth), (*replies, fifth)
        for attacker, opened in zip(attackers, (everybody, everybody, without), strict=True):
            partial = await attacker.tell(attacker.request(fields, opened))
            assert isinstance(partial, PartialDecryption), partial
        found = differences(attackers)
        assert set(found) == {(JOB, 1, "transcript"), (JOB, 1, "contributors")}
        assert told(found[JOB, 1, "transcript"]) == {(ONE, TWO), (THREE,)}
        assert {version.value for version in found[JOB, 1, "contributors"].versions} == {
            "party-1, party-2, party-3, party-4, party-5",
            "party-1, party-2, party-3, party-5",
        }


@asynchronous
async def test_reply_in_the_name_of_a_party_that_made_none_is_exposed(tmp_path):
    # As when a party's keys were copied, or its folder restored from a backup.
    async with attacking(tmp_path) as attackers:
        fields, first = attackers[0].fields(), attackers[0]
        for attacker in attackers:
            await attacker.accepted()
        replies = [(await attacker.answered(fields)).contribution for attacker in attackers[:2]]
        forged = first.contributions(fields, first.federation.parties[2:])
        for attacker in attackers[:2]:
            partial = await attacker.tell(attacker.request(fields, (*replies, *forged)))
            assert isinstance(partial, PartialDecryption), partial
        # The third may not have been asked yet, as far as anybody can tell.
        assert differences(attackers) == {}
        third = attackers[2]
        third.running.to_party(THREE, third.end(JobOutcome.FAILED))
        await third.running.wrote("end_job", by=THREE)
        difference = differences(attackers)[JOB, 1, "contribution of party-3"]
        assert [version.parties for version in difference.versions] == [(ONE, TWO), (THREE,)]


@asynchronous
async def test_two_models_of_one_job_are_exposed(tmp_path):
    async with attacking(tmp_path) as attackers:
        for attacker, name in zip(attackers, ("tennis", "golf", "tennis"), strict=True):
            await attacker.accepted()
            model = make_model()
            lineage = model.lineage.model_copy(update={"job_id": JOB, "job_spec_digest": attacker.spec.digest.hex()})
            receipt = await attacker.tell(attacker.delivery(replace(model, name=name, lineage=lineage).to_bytes()))
            assert isinstance(receipt, ModelReceipt), receipt
        found = differences(attackers)
        assert set(found) == {(JOB, 0, "model")}
        assert told(found[JOB, 0, "model"]) == {(ONE, THREE), (TWO,)}


@asynchronous
async def test_two_ends_of_one_job_are_exposed(tmp_path):
    async with attacking(tmp_path) as attackers:
        for attacker, outcome in zip(
            attackers, (JobOutcome.CANCELLED, JobOutcome.FAILED, JobOutcome.FAILED), strict=True
        ):
            await attacker.accepted()
            attacker.running.to_party(attacker.victim, attacker.end(outcome))
            await attacker.running.wrote("end_job", by=attacker.victim)
        assert told(differences(attackers)[JOB, 0, "end of the job"]) == {(ONE,), (TWO, THREE)}


@asynchronous
async def test_party_that_went_on_from_a_backup_has_two_records(tmp_path):
    async with attacking(tmp_path) as attackers:
        first, running = attackers[0], attackers[0].running
        database = running.folder / ONE / "party.db"
        await running.kill(ONE)
        running.execute(ONE, "PRAGMA wal_checkpoint(TRUNCATE)")
        backup = database.read_bytes()
        await running.start_party(ONE)
        await first.accepted()
        before = running.record_of(ONE)
        await running.kill(ONE)
        running.execute(ONE, "PRAGMA wal_checkpoint(TRUNCATE)")
        database.write_bytes(backup)
        await running.start_party(ONE)
        after = running.record_of(ONE)
        assert before.verify(FOUNDER) == after.verify(FOUNDER) == ()
        (difference,) = compare([before, after]).differences
        assert difference.what.startswith("record of party-1 from entry 2")
        assert after.verify(FOUNDER, (before.head,)) != ()
