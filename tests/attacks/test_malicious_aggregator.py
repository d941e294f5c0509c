# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A malicious aggregator and one party: whatever it tries is refused with a stable code, nothing is recorded, and the
party goes on with the honest job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest

from coterie_common import document
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import AggregatorMessage, ModelReceipt, PartialDecryption, Query, Rejection
from coterie_common.protocol.terms import JobTerms, SealingKind
from coterie_common.wire.federation import aggregator_message_to_wire
from tests.support.asynchronous import asynchronous
from tests.support.federation import digest_of, with_encoding, with_values
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import (
    JOB,
    PARTIES,
    SPEC,
    VICTIM,
    MaliciousAggregator,
    attacking,
    memory,
    open_honestly,
)
from tests.support.noise import gaussian
from tests.support.powers import power

UNSIGNED = bytes(64)

Attacker = MaliciousAggregator


# Before a job is accepted: proposals.


def scaled_noise(attacker: Attacker, factor: Fraction) -> bytes:
    rounds = tuple(
        replace(terms, noise=replace(noise, variance=noise.variance * factor))
        for terms in attacker.terms.rounds
        if (noise := gaussian(terms.noise)).variance is not None
    )
    return JobTerms(rounds).to_bytes()


def more_shares(attacker: Attacker) -> bytes:
    """Noise that is enough only if more parties are honest than are guaranteed to be."""
    rounds = tuple(
        replace(terms, noise=replace(terms.noise, shares=terms.noise.shares + 1)) for terms in attacker.terms.rounds
    )
    return JobTerms(rounds).to_bytes()


def wider_range(attacker: Attacker) -> bytes:
    first, *rest = attacker.terms.rounds
    wide = with_encoding(first, upper=first.encoding.upper + 1)
    return JobTerms((wide, *rest)).to_bytes()


def less_sensitive(attacker: Attacker) -> bytes:
    """Terms that pretend a record touches fewer values than it does."""
    return JobTerms(tuple(with_values(terms, l0=1) for terms in attacker.terms.rounds)).to_bytes()


PROPOSALS: dict[str, tuple[str, Callable[[Attacker], Any]]] = {
    "less noise than promised": ("noise-insufficient", lambda a: a.proposal(terms=scaled_noise(a, Fraction(9, 10)))),
    "noise in too many shares": ("noise-insufficient", lambda a: a.proposal(terms=more_shares(a))),
    "a wider range": ("parameter-mismatch", lambda a: a.proposal(terms=wider_range(a))),
    "less sensitivity": ("parameter-mismatch", lambda a: a.proposal(terms=less_sensitive(a))),
    "a round less": ("parameter-mismatch", lambda a: a.proposal(terms=JobTerms(a.terms.rounds[:1]).to_bytes())),
    "terms that are none": ("malformed-message", lambda a: a.proposal(terms=b"[]")),
    "a specification that is none": ("malformed-message", lambda a: a.proposal(spec=b"{}")),
    "an unknown algorithm": ("consent-denied", lambda a: a.proposal(spec=replace(SPEC, algorithm="spy").to_bytes())),
}


@pytest.mark.parametrize("name", PROPOSALS)
@asynchronous
async def test_proposal_that_does_not_hold_together_is_refused_with_its_code(tmp_path, name):
    code, make = PROPOSALS[name]
    async with attacking(tmp_path) as attacker:
        reply = await attacker.tell(make(attacker))
        assert isinstance(reply, JobReply)
        assert (reply.decision, reply.code) == (Decision.REFUSED, code)
        store = attacker.running.party_store(VICTIM)
        assert store.ledger("play") == ()
        # The refusal binds: the honest proposal under the same id comes too late, under another it is accepted.
        late = await attacker.tell(attacker.proposal())
        assert getattr(late, "code", "") == "equivocation"
        fresh = await attacker.tell(attacker.proposal(job_id=JobId("job-2")))
        assert isinstance(fresh, JobReply)
        assert fresh.decision is Decision.ACCEPTED


@asynchronous
async def test_job_whose_sum_could_overflow_is_refused_with_the_numbers(tmp_path):
    # Wrapped around, sums of other replies would be opened than those that were given.
    columns = [{"name": f"c{number}", "lower": 0, "upper": 1, "bins": 1000} for number in range(40)]
    spec = JobSpec.from_table(
        {
            "name": "wide",
            "algorithm": "statistics",
            "dataset": "play",
            "config": {"histograms": [column["name"] for column in columns]},
            "schema": {"max_records": 10**9, "columns": columns},
            "privacy": {"epsilon": "1", "delta": "0.00001"},
        }
    )
    async with attacking(tmp_path) as attacker:
        wide = MaliciousAggregator(attacker.federation, attacker.running, spec, VICTIM)
        reply = await wide.tell(wide.proposal())
        assert isinstance(reply, JobReply)
        assert (reply.decision, reply.code) == (Decision.REFUSED, "capacity-exceeded")
        assert "do not fit 32 bits" in reply.detail
        assert attacker.running.party_store(VICTIM).ledger("play") == ()


# What is refused as it is, in whichever phase: (code, message).

Make = Callable[[Attacker], "AggregatorMessage | bytes"]


@dataclass(frozen=True)
class Attack:
    code: str
    make: Make


def with_fields(**changes: Any) -> Make:
    return lambda attacker: attacker.query(attacker.fields(**changes))


def other_values(**changes: Any) -> Make:
    return lambda attacker: attacker.query(attacker.fields(terms=with_values(attacker.fields().terms, **changes)))


def less_noise(attacker: Attacker) -> Query:
    terms = attacker.fields().terms
    noise = gaussian(terms.noise)
    assert noise.variance is not None
    quiet = replace(terms, noise=replace(noise, variance=noise.variance / 4))
    return attacker.query(attacker.fields(terms=quiet))


def asking(ask: dict[str, Any], round_number: int = 1) -> Make:
    body = document.encode(ask)
    return lambda attacker: attacker.query(attacker.fields(round_number, body=body), body)


NO_JOB = {
    "a proposal under another roster": Attack(
        "parameter-mismatch", lambda a: a.proposal(roster_digest=digest_of("a roster of its own"))
    ),
    "an unsigned proposal": Attack("invalid-signature", lambda a: a.proposal(signature=UNSIGNED)),
    "a query for a job that was never proposed": Attack("unknown-round", lambda a: a.query()),
    "an unsigned model": Attack("invalid-signature", lambda a: replace(a.delivery(b"{}"), signature=UNSIGNED)),
    "a model of a job that was never proposed": Attack("unknown-round", lambda a: a.delivery(b"{}")),
    "an unsigned end": Attack("invalid-signature", lambda a: replace(a.end(), signature=UNSIGNED)),
    "garbage": Attack("malformed-message", lambda a: b"\xff" * 100),
    "nothing": Attack("malformed-message", lambda a: b""),
    "half a message": Attack("malformed-message", lambda a: aggregator_message_to_wire(a.proposal())[:-1]),
    "a message with something behind it": Attack(
        "malformed-message", lambda a: aggregator_message_to_wire(a.proposal()) + b"\x01"
    ),
}

QUERIES = {
    "an unsigned query": Attack("invalid-signature", lambda a: replace(a.query(), signature=UNSIGNED)),
    "a query under another roster": Attack("parameter-mismatch", with_fields(roster_digest=digest_of("its own"))),
    "a query under another key epoch": Attack("parameter-mismatch", with_fields(key_epoch=2)),
    "a query of another specification": Attack("equivocation", with_fields(spec_digest=digest_of("other"))),
    "a query of another job": Attack("unknown-round", with_fields(job_id=JobId("job-2"))),
    "a query with another body": Attack("malformed-message", lambda a: replace(a.query(), body=b'{"length":1}')),
    "a query with less noise": Attack("parameter-mismatch", less_noise),
    "a query with other sensitivity": Attack("parameter-mismatch", other_values(l0=1)),
    "a query for a round beyond the plan": Attack(
        "unknown-round",
        lambda a: a.query(replace(a.fields(), round_number=3, plan_step=3, previous_transcript=digest_of("round 2"))),
    ),
    "a cohort below the quorum": Attack("quorum-too-small", with_fields(cohort=PARTIES[:3], round_quorum=3)),
    "a quorum below the federation's": Attack("quorum-too-small", with_fields(round_quorum=3)),
    "a quorum other than the job's": Attack("parameter-mismatch", with_fields(round_quorum=5)),
    "a cohort with a stranger": Attack("not-in-cohort", with_fields(cohort=(*PARTIES, "stranger"))),
    "a cohort without the party": Attack("not-in-cohort", with_fields(cohort=PARTIES[1:])),
    "an ask of another length": Attack("malformed-message", asking({"length": 3, "tree": [None], "open": [0]})),
    "an ask outside the plan": Attack(
        "malformed-message", asking({"length": 12, "tree": ["outlook", None, None, None], "open": [1]})
    ),
    "an ask for one record's path twice": Attack(
        "malformed-message", asking({"length": 12, "tree": ["outlook", None, None, None], "open": [1, 1]}, 2)
    ),
    "an ask with something more": Attack(
        "malformed-message", asking({"length": 18, "tree": [None], "open": [0], "raw": True})
    ),
}


async def assert_refused(attacker: Attacker, attack: Attack) -> None:
    """Try an attack: one code, and nothing is remembered of it."""
    store = attacker.running.party_store(VICTIM)
    before = memory(store)
    message = attack.make(attacker)
    answer = await attacker.tell(message)
    assert isinstance(answer, Rejection), answer
    assert answer.code == attack.code
    assert memory(store) == before


@pytest.mark.parametrize("name", NO_JOB)
@asynchronous
async def test_attack_without_a_job_is_refused_and_the_party_goes_on(tmp_path, name):
    async with attacking(tmp_path) as attacker:
        await assert_refused(attacker, NO_JOB[name])
        await attacker.accepted()
        await open_honestly(attacker, await attacker.answered())


@pytest.mark.parametrize("name", QUERIES)
@asynchronous
async def test_attack_by_query_is_refused_and_the_party_goes_on(tmp_path, name):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        await assert_refused(attacker, QUERIES[name])
        await open_honestly(attacker, await attacker.answered())


@asynchronous
async def test_query_for_a_job_that_was_refused_is_refused(tmp_path):
    async with attacking(tmp_path) as attacker:
        attacker.running.policies[VICTIM] = generous_policy(algorithms=())
        await attacker.running.kill(VICTIM)
        await attacker.running.start_party(VICTIM)
        await attacker.accepted()
        await assert_refused(attacker, Attack("consent-denied", lambda a: a.query()))


# After the party has answered: what is opened.

Reply = EncryptedReply
MakeRequest = Callable[[Attacker, Reply], "AggregatorMessage"]


def all_of(attacker: Attacker, reply: Reply) -> tuple[Contribution, ...]:
    return (reply.contribution, *attacker.contributions(attacker.fields(), attacker.others))


def single_reply(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    return attacker.request(attacker.fields(), (reply.contribution,))


def below_the_quorum(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    return attacker.request(attacker.fields(), all_of(attacker, reply)[:3])


def quorum_of_one_colluder(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    colluder = attacker.others[:1] * 3
    contributions = (reply.contribution, *attacker.contributions(attacker.fields(), colluder))
    return attacker.request(attacker.fields(), contributions)


def another_query_for_the_rest(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    """The others answered a query without the victim; its reply is put beside theirs all the same."""
    fields = attacker.fields(cohort=PARTIES[1:])
    return attacker.request(fields, attacker.contributions(fields, attacker.others))


def replies_to_two_queries_in_one_sum(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    others = attacker.fields(previous_transcript=b"", cohort=PARTIES[1:])
    contributions = (reply.contribution, *attacker.contributions(others, attacker.others))
    return attacker.request(attacker.fields(), contributions)


def contribution_of_another_round(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    """What the victim is shown under its own id it never sent in this round."""
    own = replace(reply.contribution, signature=UNSIGNED)
    return attacker.request(attacker.fields(), (own, *all_of(attacker, reply)[1:]))


def forged_member(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    contributions = all_of(attacker, reply)
    return attacker.request(attacker.fields(), (*contributions[:4], replace(contributions[4], signature=UNSIGNED)))


def inverted_copy(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    """A colluder cancels the victim's reply: what remains is the colluder's choice."""
    key = attacker.federation.dealing.key.public_key
    part = reply.contribution.key_part
    inverted = replace(part, ciphertexts=tuple(power(key.check(c), -1).to_bytes() for c in part.ciphertexts))
    mauled = attacker.federation.signed(attacker.others[0], reply.session_id, inverted)
    contributions = all_of(attacker, reply)
    return attacker.request(attacker.fields(), (contributions[0], mauled, *contributions[2:]))


def out_of_order(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    return attacker.request_as_given(attacker.fields(), all_of(attacker, reply)[::-1])


def unsigned(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    return replace(attacker.request(attacker.fields(), all_of(attacker, reply)), signature=UNSIGNED)


def signed_for_fewer(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    whole = attacker.request(attacker.fields(), all_of(attacker, reply))
    return replace(whole, contributions=whole.contributions[:4])


def another_roster(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    fields = attacker.fields(roster_digest=digest_of("a roster of its own"))
    return attacker.request(fields, attacker.contributions(fields, attacker.others))


def another_round_with_old_replies(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    body = document.encode({"length": 12, "tree": ["outlook", None, None, None], "open": [1]})
    fields = attacker.fields(2, body=body)
    return attacker.request(fields, all_of(attacker, reply))


def sealed_completely(attacker: Attacker, reply: Reply) -> AggregatorMessage:
    """There is nothing to decrypt in such a round."""
    honest = attacker.request(attacker.fields(), all_of(attacker, reply))
    terms = replace(honest.fields.terms, sealing=SealingKind.COMPLETE)
    fields = replace(honest.fields, terms=terms, acceptances=digest_of("acceptances"))
    return replace(honest, fields=fields).signed_by(attacker.federation.aggregator_key)


REQUESTS: dict[str, tuple[str, MakeRequest]] = {
    "a single reply": ("quorum-too-small", single_reply),
    "fewer than the quorum": ("quorum-too-small", below_the_quorum),
    "a quorum made of one colluder": ("malformed-message", quorum_of_one_colluder),
    "another query for the rest": ("already-answered", another_query_for_the_rest),
    "replies to two queries in one sum": ("invalid-signature", replies_to_two_queries_in_one_sum),
    "something else under the victim's id": ("equivocation", contribution_of_another_round),
    "a forged member": ("invalid-signature", forged_member),
    "an inverted copy": ("invalid-proof", inverted_copy),
    "out of order": ("parameter-mismatch", out_of_order),
    "unsigned": ("invalid-signature", unsigned),
    "signed for other contributions": ("invalid-signature", signed_for_fewer),
    "another roster": ("already-answered", another_roster),
    "old replies in another round": ("equivocation", another_round_with_old_replies),
    "of a round that is sealed completely": ("unexpected-message", sealed_completely),
}


@pytest.mark.parametrize("name", REQUESTS)
@asynchronous
async def test_attack_by_decryption_request_is_refused_and_the_party_goes_on(tmp_path, name):
    code, make = REQUESTS[name]
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        reply = await attacker.answered()
        await assert_refused(attacker, Attack(code, lambda a: make(a, reply)))
        await open_honestly(attacker, reply)


@asynchronous
async def test_forged_roster_in_a_request_is_refused_by_who_did_not_answer(tmp_path):
    async with attacking(tmp_path) as attacker:

        def make(attacker: Attacker) -> AggregatorMessage:
            fields = attacker.fields(roster_digest=digest_of("a roster of its own"))
            return attacker.request(fields, attacker.contributions(fields, attacker.others))

        await assert_refused(attacker, Attack("parameter-mismatch", make))


# One transcript per round, one query per round.


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@asynchronous
async def test_second_transcript_of_one_round_is_refused_for_ever(tmp_path, restarted):
    # The difference of the two sums would be one party's reply.
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        reply = await attacker.answered()
        contributions = all_of(attacker, reply)
        whole = attacker.request(attacker.fields(), contributions)
        first = await attacker.tell(whole)
        assert isinstance(first, PartialDecryption)
        if restarted:
            await attacker.running.kill(VICTIM)
            await attacker.running.start_party(VICTIM)
        await assert_refused(attacker, Attack("already-answered", lambda a: a.request(a.fields(), contributions[:4])))
        again = await attacker.tell(whole)
        assert again == first


@asynchronous
async def test_two_transcripts_at_the_same_moment_open_one_sum(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        reply = await attacker.answered()
        contributions = all_of(attacker, reply)
        requests = [attacker.request(attacker.fields(), chosen) for chosen in (contributions, contributions[:4])]
        # While one is being verified the other is not even looked at.
        for request in requests * 3:
            attacker.running.to_party(VICTIM, request)
        await attacker.running.saw(lambda _, m: isinstance(m, PartialDecryption))
        for request in requests:
            attacker.running.to_party(VICTIM, request)
        answer = await attacker.running.saw(lambda _, m: isinstance(m, Rejection))
        assert getattr(answer, "code", "") == "already-answered"
        said = [m for _, m in attacker.running.passed if isinstance(m, PartialDecryption)]
        assert len({m.transcript_digest for m in said}) == 1


@asynchronous
async def test_party_that_opened_a_round_without_answering_never_answers_it(tmp_path):
    # Else its reply could be put beside a sum that it already helped to open.
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        fields = attacker.fields()
        opened = await attacker.tell(attacker.request(fields, attacker.contributions(fields, attacker.others)))
        assert isinstance(opened, PartialDecryption)
        await assert_refused(attacker, Attack("already-answered", lambda a: a.query()))


@asynchronous
async def test_query_that_continues_from_another_release_is_refused(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        await open_honestly(attacker, await attacker.answered())
        ask = {"length": 12, "tree": ["outlook", None, None, None], "open": [1]}
        await assert_refused(attacker, Attack("equivocation", asking(ask, 2)))


@asynchronous
async def test_victim_shown_another_model_than_the_rest_is_not_read(tmp_path):
    # Everyone else is asked about records that nobody has, so that their replies are noise alone.
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        body = document.encode({"length": 12, "tree": ["outlook", None, None, None], "open": [1]})
        empty = document.encode({"length": 12, "tree": ["outlook", None, None, None], "open": [3]})
        reply = await attacker.answered(attacker.fields(2, body=body), body)
        theirs = attacker.fields(2, body=empty)
        others = attacker.contributions(theirs, attacker.others)
        # Under the victim's query the others' replies do not verify, under theirs the victim's does not.
        await assert_refused(
            attacker,
            Attack("invalid-signature", lambda a: a.request(a.fields(2, body=body), (reply.contribution, *others))),
        )
        await assert_refused(
            attacker, Attack("already-answered", lambda a: a.request(theirs, (reply.contribution, *others)))
        )


@asynchronous
async def test_cohort_that_grows_after_the_first_query_is_refused(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        await attacker.answered(attacker.fields(cohort=PARTIES[:4]))
        ask = {"length": 12, "tree": ["outlook", None, None, None], "open": [1]}
        await assert_refused(attacker, Attack("not-in-cohort", asking(ask, 2)))


@asynchronous
async def test_old_round_is_not_answered_after_the_job_ended(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        reply = await attacker.answered()
        await open_honestly(attacker, reply)
        attacker.running.to_party(VICTIM, attacker.end())
        await attacker.running.wrote("end_job", by=VICTIM)
        await assert_refused(attacker, Attack("stale-round", lambda a: a.query()))
        await assert_refused(
            attacker, Attack("already-answered", lambda a: a.request(a.fields(), all_of(a, reply)[:4]))
        )


@asynchronous
async def test_model_of_another_job_or_specification_is_not_kept(tmp_path):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        for lineage in ({"job_id": "job-2"}, {"job_spec_digest": "00" * 32}):
            await assert_refused(attacker, Attack("malformed-message", model_with(lineage)))
        assert not (tmp_path / VICTIM / "models").exists()
        await open_honestly(attacker, await attacker.answered())


def model_with(changes: dict[str, Any]) -> Make:
    def make(attacker: Attacker) -> AggregatorMessage:
        lineage: dict[str, Any] = {
            "federation": "test",
            "job_id": JOB,
            "job_spec_digest": attacker.spec.digest.hex(),
            "roster_digest": attacker.federation.roster.digest.hex(),
            "rounds": 1,
            "contributors": [5],
            "epsilon": "1",
            "delta": "0",
            "unit": "record",
            "mechanism": "discrete-gaussian",
            "placement": "distributed",
            "transcript_digests": ["00" * 32],
            **changes,
        }
        model: dict[str, Any] = {
            "coterie_model": 1,
            "name": "play",
            "algorithm": "decision_tree",
            "schema": attacker.planned.schema.to_document(),
            "body": {"tree": [None], "counts": [[1, 2]]},
            "lineage": lineage,
        }
        return attacker.delivery(document.encode(model))

    return make


@asynchronous
async def test_model_that_fits_the_job_is_kept(tmp_path):
    # The attack above fails for the lineage alone.
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        answer = await attacker.tell(model_with({})(attacker))
        assert isinstance(answer, ModelReceipt), answer
