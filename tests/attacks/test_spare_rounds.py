# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An aggregator that abuses what is there for parties that vanish: quorums of its choice, and steps asked again.

The victim is a real party, alone with its attacker. Each attack is refused, or charged; and without the check that
stops it, its harm shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from coterie_common import document
from coterie_common.errors import CoterieError
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.messages import PartialDecryption, Rejection
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.verification.check import run_checks
from coterie_common.protocol.verification.query import QUERY_CHECKS, JobKnowledge, QueryReceived
from coterie_party.policy.budget import cost_of
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.federation import digest_of
from tests.support.malicious_aggregator import VICTIM, MaliciousAggregator, attacking
from tests.support.small_jobs import statistics_spec, tree_spec

COMMITTED, RESERVED = ReservationStatus.COMMITTED, ReservationStatus.RESERVED
SECOND = document.encode({"length": 12, "tree": ["outlook", None, None, None], "open": [1]})


def sized_for(attacker: MaliciousAggregator, quorum: int, round_number: int = 1, **changes: Any) -> SessionFields:
    """Return fields of a query whose noise is divided for this quorum, as an honest one's is."""
    fields = attacker.fields(round_number, plan_step=1, previous_transcript=b"", **changes)
    shares = attacker.federation.parameters.honest_shares(quorum)
    return replace(fields, round_quorum=quorum, terms=fields.terms.in_shares(shares))


def again(attacker: MaliciousAggregator, round_number: int) -> SessionFields:
    """Return fields that ask the first step under another round number."""
    return sized_for(attacker, 5, round_number)


def zeros_of_others(attacker: MaliciousAggregator, fields: SessionFields) -> tuple[Contribution, ...]:
    return attacker.contributions(fields, attacker.others)


def charged(attacker: MaliciousAggregator) -> list[ReservationStatus]:
    return [entry.status for entry in attacker.running.party_store(VICTIM).ledger("play")]


async def refused(attacker: MaliciousAggregator, fields: SessionFields) -> str:
    """Ask, and return the code of the refusal; the party remembers nothing of it."""
    before = charged(attacker)
    answer = await attacker.tell(attacker.query(fields))
    assert isinstance(answer, Rejection), answer
    assert charged(attacker) == before
    return answer.code


# Quorums.


@asynchronous
async def test_noise_in_the_shares_of_all_under_a_smaller_quorum_is_refused(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        fields = sized_for(attacker, 5)
        assert await refused(attacker, replace(fields, round_quorum=4)) == "noise-insufficient"
        assert isinstance(await attacker.tell(attacker.query(fields)), EncryptedReply)


@asynchronous
async def test_quorum_below_the_jobs_own_is_refused(tmp_path):
    async with attacking(tmp_path, spec=tree_spec(quorum=5)) as attacker:
        await attacker.accepted()
        assert await refused(attacker, sized_for(attacker, 4)) == "quorum-too-small"


@asynchronous
async def test_sum_of_fewer_replies_than_the_query_counted_on_is_not_opened(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        fields = sized_for(attacker, 5)
        reply = await attacker.answered(fields)
        four = (reply.contribution, *attacker.contributions(fields, attacker.others[:3]))
        answer = await attacker.tell(attacker.request(fields, four))
        assert isinstance(answer, Rejection)
        assert answer.code == "quorum-too-small"
        five = (*four, *attacker.contributions(fields, attacker.others[3:]))
        assert isinstance(await attacker.tell(attacker.request(fields, five)), PartialDecryption)


def test_sum_of_fewer_replies_would_hold_less_noise_than_was_paid_for():
    # What the two checks before are for: c = 1 of those in the sum may know its own share.
    sigma, n, m, c = Fraction(300), 5, 4, 1
    assert (m - c) * sigma / (n - c) < sigma == (m - c) * sigma / (m - c) == (n - c) * sigma / (n - c)


# Steps that are asked again.


@asynchronous
async def test_third_answer_to_a_step_with_one_spare_round_is_refused(tmp_path):
    async with attacking(tmp_path, spec=tree_spec(spare_rounds=1)) as attacker:
        await attacker.accepted()
        assert charged(attacker) == [RESERVED] * 3
        first = await attacker.answered(again(attacker, 1))
        second = await attacker.answered(again(attacker, 2))
        assert first.contribution.digest != second.contribution.digest
        assert charged(attacker) == [COMMITTED, RESERVED, COMMITTED]
        assert await refused(attacker, again(attacker, 3)) == "unknown-round"
        # The same bytes again cost nothing, and are all that it says about the step.
        assert (await attacker.answered(again(attacker, 2))).contribution == second.contribution


@asynchronous
async def test_spare_rounds_cannot_be_saved_up_for_one_step(tmp_path):
    # Two steps and two spare rounds; rounds are numbered as if steps had been abandoned that were never asked.
    async with attacking(tmp_path, spec=tree_spec(spare_rounds=2)) as attacker:
        await attacker.accepted()
        for number in (1, 2, 3):
            await attacker.answered(again(attacker, number))
        fields = attacker.fields(4, body=SECOND, plan_step=2, previous_transcript=digest_of("a release"))
        assert isinstance(await attacker.tell(attacker.query(fields, SECOND)), EncryptedReply)
        assert charged(attacker) == [COMMITTED] * 4


@pytest.mark.parametrize(
    ("number", "step", "code"),
    [(1, 1, "stale-round"), (3, 1, "stale-round"), (4, 1, "unknown-round")],
    ids=["an older round", "an earlier step", "after more abandoned rounds than there may be"],
)
@asynchronous
async def test_rounds_that_do_not_follow_one_another_are_refused(tmp_path, number, step, code):
    async with attacking(tmp_path, spec=tree_spec(spare_rounds=2)) as attacker:
        await attacker.accepted()
        later = attacker.fields(2, body=SECOND, plan_step=2, previous_transcript=digest_of("a release"))
        assert isinstance(await attacker.tell(attacker.query(later, SECOND)), EncryptedReply)
        assert await refused(attacker, replace(again(attacker, number), plan_step=step)) == code


@asynchronous
async def test_abandoned_round_that_is_completed_late_is_a_release_that_was_charged(tmp_path):
    async with attacking(tmp_path, spec=tree_spec(spare_rounds=1)) as attacker:
        await attacker.accepted()
        replies = [(fields, await attacker.answered(fields)) for fields in (again(attacker, 1), again(attacker, 2))]
        for fields, reply in reversed(replies):
            contributions = (reply.contribution, *attacker.contributions(fields, attacker.others))
            opened = await attacker.tell(attacker.request(fields, contributions))
            assert isinstance(opened, PartialDecryption)
        lines = attacker.running.party_store(VICTIM).ledger("play")
        assert [line.status for line in lines] == [COMMITTED, RESERVED, COMMITTED]
        assert cost_of(lines[0]) == cost_of(lines[2])


@pytest.mark.parametrize("is_asked_again", [True, False], ids=["after the step was asked again", "after one round"])
@asynchronous
async def test_release_that_the_party_did_not_open_is_continued_only_after_it_answered_the_step_again(
    tmp_path, is_asked_again
):
    async with attacking(tmp_path, spec=tree_spec(spare_rounds=1)) as attacker:
        await attacker.accepted()
        # The victim helps to open the first round; too few others do in time, so that it is abandoned.
        first = again(attacker, 1)
        reply = await attacker.answered(first)
        opened = await attacker.tell(attacker.request(first, (reply.contribution, *zeros_of_others(attacker, first))))
        assert isinstance(opened, PartialDecryption)
        second = again(attacker, 2)
        own = (await attacker.answered(second)).contribution if is_asked_again else reply.contribution
        # The others open the second round before its request reaches the victim.
        released = attacker.request(second, (own, *zeros_of_others(attacker, second))).transcript_digest
        number = 3 if is_asked_again else 2
        fields = attacker.fields(number, body=SECOND, plan_step=2, previous_transcript=released)
        answer = await attacker.tell(attacker.query(fields, SECOND))
        if is_asked_again:
            assert isinstance(answer, EncryptedReply), answer
        else:
            assert isinstance(answer, Rejection)
            assert answer.code == "equivocation"


@asynchronous
async def test_step_is_charged_again_at_its_own_price_as_an_independent_computation_has_it(tmp_path):
    async with attacking(tmp_path, spec=tree_spec(spare_rounds=1)) as attacker:
        await attacker.accepted()
        before = attacker.running.party_store(VICTIM).ledger("play")
        for number in (1, 2):
            await attacker.answered(again(attacker, number))
        spent = [e for e in attacker.running.party_store(VICTIM).ledger("play") if e.status is COMMITTED]
        # A record changes l0 values by Δ each: μ² = (l0·Δ)²/(l0·σ² − 3), twice.
        event: Any = spent[0].event
        change, variance = event["l0"] * 2 ** event["scale_bits"], event["l0"] * Fraction(event["noise"]["variance"])
        each = Fraction(change * event["linf"]) ** 2 / (variance - 3)
        total = sum(cost_of(entry).squared_distance for entry in spent)
        assert float(total) == pytest.approx(float(2 * each), rel=1e-9)
        # What was reserved for the spare round covers every step that it could have repeated.
        assert all(cost_of(before[2]).covers(cost_of(entry)) for entry in before[:2])


# Without the checks.


def knowledge(attacker: MaliciousAggregator, asked: dict[int, int]) -> JobKnowledge:
    return JobKnowledge(
        spec_digest=attacker.spec.digest,
        terms=attacker.terms,
        round_quorum=4,
        previous_cohort=None,
        opened={},
        asked=asked,
    )


def passing(attacker: MaliciousAggregator, asked: Sequence[int], without: Sequence[int]) -> list[int]:
    """Return the rounds of the first step that pass all checks but those left out, each after those before it."""
    passed: dict[int, int] = {}
    for number in asked:
        query = attacker.query(again(attacker, number))
        received = QueryReceived(
            fields=query.fields,
            roster=attacker.federation.roster,
            job=knowledge(attacker, dict(passed)),
            query=query,
            own_id=VICTIM,
        )
        try:
            run_checks((check for check in QUERY_CHECKS if check.number not in without), received)
        except CoterieError:
            continue
        passed[number] = 1
    return list(passed)


@pytest.mark.parametrize(
    ("without", "answers"),
    [((), 2), ((6,), 2), ((18,), 2), ((6, 18), 20)],
    ids=["all checks", "without the limit on numbers", "without the limit on answers", "without either"],
)
@asynchronous
async def test_without_its_checks_a_step_is_answered_as_often_as_it_is_asked(tmp_path, without, answers):
    async with attacking(tmp_path, spec=statistics_spec(spare_rounds=1)) as attacker:
        assert len(passing(attacker, range(1, 21), without)) == answers
        noise = attacker.terms.rounds[0].noise
        values = np.array([noise.draw_share(2000, attacker.federation.random) for _ in range(answers)], float)
        # The harm: the average of twenty answers has a fifth of the noise.
        assert values.mean(axis=0).std() == pytest.approx(noise.share_variance**0.5 / answers**0.5, rel=0.15)
