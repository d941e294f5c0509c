# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole generations among honest holders: the key, and what anybody has and has not of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import combinations
from math import gcd

import numpy as np
import pytest
from gmpy2 import is_prime, mpz

from coterie_common.crypto.dealer import _deal_insecure_for_tests
from coterie_common.crypto.generation.effects import End, SendBroadcast
from coterie_common.crypto.generation.machine import (
    Transition,
    advance,
    receive_broadcast,
    receive_part,
    share_kept,
    start,
)
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.steps.messages import Broadcast, SealedPart, Step
from coterie_common.crypto.generation.steps.openings import OpeningStage
from coterie_common.crypto.generation.steps.setup import Draft, Received, Run, Setup, Stage
from coterie_common.crypto.generation.steps.sizes import step_bytes
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import (
    KeyKind,
    KeyShare,
    ThresholdPublicKey,
    check_record,
    check_share,
    combine,
    partial_decrypt,
)
from coterie_common.errors import (
    ConfigurationError,
    Equivocation,
    InvalidSignature,
    KeyFileError,
    MalformedMessage,
    ParameterMismatch,
    StateError,
    UnexpectedMessage,
)
from coterie_common.protocol.roster.key_making import KeyMaking
from coterie_common.secret import Secret
from tests.support.joint_generation import DRAFT_DIGEST, Cheat, Holders, generated, make_setups
from tests.support.seeded_random import SeededRandom

SHAPES = [(3, 2, 1), (4, 3, 1), (5, 3, 2), (9, 7, 1)]


@pytest.fixture(params=SHAPES, ids=str)
def holders(request: pytest.FixtureRequest) -> Holders:
    k, t, s = request.param
    return generated(k, t, s=s)


def record(holders: Holders) -> ThresholdPublicKey:
    completed = holders.outcomes[1].completed
    assert completed is not None, holders.outcomes
    return completed.key


def shares(holders: Holders) -> list[KeyShare]:
    found = [each.share for each in holders.outcomes.values() if each.share is not None]
    assert len(found) == len(holders.outcomes)
    return found


def opened_survivor(holders: Holders) -> list[tuple[OpeningStage, int]]:
    """Return what every holder knew when the last batch was opened, and which candidate survived."""
    found: dict[int, tuple[OpeningStage, int]] = {}
    for index, state in holders.seen:
        if isinstance(state.stage, OpeningStage) and state.stage.survivor is not None:
            found[index] = state.stage, state.stage.survivor
    return [found[index] for index in sorted(found)]


def pooled(holders: Holders) -> tuple[int, int]:
    """Return p and q from everybody's shares: what nobody may do."""
    known = [stage.record.shares.reveal()[survivor] for stage, survivor in opened_survivor(holders)]
    return int(sum(each.p for each in known)), int(sum(each.q for each in known))


@pytest.fixture(scope="module")
def watched() -> Holders:
    parameters = GenerationParameters._insecure_for_tests(holders=3, decryption_threshold=2, key_bits=256, batch=32)
    holders = Holders(make_setups(parameters, "watched"), keeps_history=True)
    holders.run()
    return holders


def test_all_holders_end_with_one_record_and_all_signatures(holders):
    key = record(holders)
    check_record(key)
    assert key.kind is KeyKind.GENERATED
    assert key.public_key.key_bits == 256
    for outcome in holders.outcomes.values():
        assert outcome.completed.key == outcome.key == key
        assert outcome.completed.chain == holders.outcomes[1].completed.chain
        assert outcome.completed.signatures == holders.outcomes[1].completed.signatures
        check_share(key, outcome.share)
    assert len(holders.outcomes[1].completed.signatures) == key.holders


def test_any_threshold_of_shares_opens_and_one_less_does_not(holders):
    key, random = record(holders), SeededRandom("opens")
    encryptor = Encryptor(key.public_key)
    plaintext = random.randbelow(key.public_key.plaintext_modulus)
    ciphertext = encryptor.encrypt(plaintext, encryptor.draw_nonce(random))
    partials = {each.index: partial_decrypt(key, each, [ciphertext]) for each in shares(holders)}
    for chosen in list(combinations(partials, key.decryption_threshold))[:10]:
        assert combine(key, [ciphertext], {index: partials[index] for index in chosen}) == (plaintext,)


def test_every_party_can_verify_the_signatures_over_the_record(holders):
    completed, setup = holders.outcomes[1].completed, holders.setups[0]
    making = KeyMaking(
        draft_digest=DRAFT_DIGEST,
        steps_digest=completed.chain,
        signatures=tuple(completed.signatures[index] for index in setup.indices),
    )
    digest, signers = completed.key.digest, setup.verify_keys
    making.verify(digest, signers)
    other = replace(completed.key, root_offset=completed.key.root_offset + 1).digest
    for changed, key in (
        (replace(making, draft_digest=bytes(32)), digest),
        (replace(making, steps_digest=bytes(32)), digest),
        (making, other),
    ):
        with pytest.raises(InvalidSignature):
            changed.verify(key, signers)
    for place in range(len(signers)):
        signatures = list(making.signatures)
        signatures[place] = signatures[place - 1]
        with pytest.raises(InvalidSignature):
            replace(making, signatures=tuple(signatures)).verify(digest, signers)


def test_modulus_is_a_product_of_two_primes_of_the_right_form(watched):
    p, q = pooled(watched)
    n = record(watched).public_key.modulus
    assert p * q == n
    assert is_prime(p)
    assert is_prime(q)
    assert p % 4 == q % 4 == 3
    assert p.bit_length() == q.bit_length() == 128
    assert n.bit_length() == 256
    assert n % 3 == 4 % 3
    # Δ is prime to the order of the squares.
    assert gcd(6, (p - 1) * (q - 1) // 4) == 1


def test_sums_under_a_generated_key_are_those_under_a_dealt_one(watched):
    p, q = pooled(watched)
    dealt = _deal_insecure_for_tests(p, q, holders=3, decryption_threshold=2, random=SeededRandom("dealt"), s=1)
    sums = []
    for key, own in ((record(watched), shares(watched)), (dealt.key, list(dealt.shares))):
        random, encryptor = SeededRandom("the same replies"), Encryptor(key.public_key)
        replies = [
            encryptor.encrypt(random.randbits(100), encryptor.draw_nonce(SeededRandom("nonce"))) for _ in range(5)
        ]
        total = [key.public_key.add(replies)]
        sums.append(combine(key, total, {each.index: partial_decrypt(key, each, total) for each in own[1:]}))
    assert sums[0] == sums[1]


def reachable(value: object, seen: set[int]) -> Iterator[object]:
    """Yield every number and byte string that can be reached from an object, secrets' contents among them."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (int, bytes, str)) or type(value) is type(mpz(0)):
        yield value
    elif isinstance(value, np.ndarray):
        yield value.tobytes()
    elif isinstance(value, Secret):
        yield from reachable(value.reveal(), seen)
    elif isinstance(value, dict):
        for each in (*value.keys(), *value.values()):
            yield from reachable(each, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from reachable(each, seen)
    elif is_dataclass(value) and not isinstance(value, (type, Setup)):
        for each in fields(value):
            yield from reachable(getattr(value, each.name), seen)
        # Cached properties, too.
        yield from reachable(dict(vars(value)) if hasattr(value, "__dict__") else {}, seen)


def forms(number: int) -> list[bytes]:
    size = -(-number.bit_length() // 8)
    return [
        number.to_bytes(size, "big"),
        number.to_bytes(size, "little"),
        str(number).encode(),
        f"{number:x}".encode(),
    ]


def test_no_holder_and_no_frame_ever_has_the_factors(watched):
    p, q = pooled(watched)
    n = p * q
    phi = (p - 1) * (q - 1)
    d = pow(n, -1, phi // 4)
    forbidden = {p, q, p - 1, q - 1, phi, phi // 2, phi // 4, d, p + q, p + q - 1, n - p - q}
    texts = [form for number in forbidden for form in forms(number)]
    found: list[object] = []
    seen: set[int] = set()
    for _, state in watched.seen:
        for value in reachable(state, seen):
            if isinstance(value, bytes):
                found += [text for text in texts if text in value]
            elif isinstance(value, str):
                found += [text for text in texts if text.decode("latin-1") in value]
            elif int(value) in forbidden:  # type: ignore[call-overload]  # a number by what ``reachable`` yields
                found.append(value)
    assert found == []
    assert [text for frame in watched.frames for text in texts if text in frame.to_bytes()] == []
    # The walk finds what is there: a holder's own share of p.
    stage, survivor = opened_survivor(watched)[0]
    own = stage.record.shares.reveal()[survivor].p
    assert own in set(reachable(stage, set()))


def test_leaves_of_the_survivor_are_in_no_frame(watched):
    frames = b"".join(frame.body for frame in watched.frames if isinstance(frame, Broadcast))
    for stage, survivor in opened_survivor(watched):
        leaves = stage.record.secrets.leaves.split()
        kept = {*stage.record.choice.of_candidate(survivor)}
        kept.add(len(stage.run.setup.parameters.cell_primes) + survivor)
        assert len(kept) == 2 * len(stage.run.setup.parameters.sieve_primes) + 1
        assert not any(leaf in frames for position, leaf in enumerate(leaves) if position in kept)
        assert all(leaf in frames for position, leaf in enumerate(leaves) if position not in kept)


def test_batches_without_survivor_are_opened_whole_before_the_next_begins(watched):
    steps = watched.steps
    batches = steps.count(Step.CELLS)
    assert batches > 1
    assert steps[:2] == [Step.START, Step.ENCAPSULATION]
    for place, step in enumerate(steps):
        if step is Step.ROOT:
            assert steps[place - 2 : place] == [Step.OPENING, Step.VERDICT]
    stages = [state.stage for index, state in watched.seen if index == 1 and isinstance(state.stage, OpeningStage)]
    whole = [stage for stage in stages if stage.survivor is None]
    assert all(stage.record.secrets.leaves.reveal() == stage.draft.body for stage in whole)


def test_share_is_kept_before_the_record_is_signed_and_nothing_else_is_left():
    seen = generated(3, 2)
    parameters = seen.setups[0].parameters
    holders = Holders(make_setups(parameters, 0), keeps_history=True)
    holders.run()
    signing = [state for index, state in holders.seen if index == 2 and state.step is Step.SIGNATURE]
    assert [type(state.stage).__name__ for state in signing[:2]] == ["KeepingStage", "SignatureStage"]
    assert set(vars(signing[0].stage)) == {"setup", "key", "share", "chain"}
    assert set(vars(signing[1].stage)) == {"setup", "key", "chain", "signature"}
    assert (signing[0].broadcasts, signing[0].parts) == ({}, {})


def test_lengths_of_messages_follow_from_the_parameters(watched):
    parameters = watched.setups[0].parameters
    cells, g = len(parameters.cell_primes), parameters.degree
    lengths = {frame.step: len(frame.body) for frame in watched.frames if isinstance(frame, Broadcast)}
    assert lengths[Step.START] == 32 + 1216 + 32
    assert lengths[Step.ENCAPSULATION] == 2 * 1088
    assert lengths[Step.RESIDUES] == 2 * cells
    assert lengths[Step.PRODUCTS] == 41 * 32
    assert lengths[Step.TESTS] == 32 + 32 * 8
    assert lengths[Step.UNIT] == 32
    assert lengths[Step.SECRETS] == 32 * 2
    assert lengths[Step.SIGNATURE] == 64
    assert g == 1
    sealed = {len(frame.sealed) for frame in watched.frames if isinstance(frame, SealedPart)}
    assert 6 * cells + 48 in sealed
    assert 3 * 41 * 32 + 48 in sealed


def test_no_message_is_longer_than_the_parameters_say(watched):
    limits = step_bytes(watched.setups[0].parameters)
    assert set(limits) == set(Step)
    steps = {frame.number: frame.step for frame in watched.frames if isinstance(frame, Broadcast)}
    for frame in watched.frames:
        if isinstance(frame, Broadcast):
            assert len(frame.body) <= limits[frame.step].body
            # What has no length of its own, but one that depends on how many were tested or on N, may be shorter.
            if frame.step not in (Step.POWERS, Step.VERDICT, Step.SECRETS_VERDICT, Step.OPENING, Step.PRODUCTS):
                assert limits[frame.step].body - len(frame.body) <= 1, frame.step
        else:
            assert 0 <= limits[steps[frame.number]].part - len(frame.sealed) <= 3, steps[frame.number]


def test_longest_messages_of_the_product_fit_into_memory():
    for key_bits in (2048, 3072, 4096):
        parameters = GenerationParameters(holders=9, decryption_threshold=7, key_bits=key_bits)
        assert max(max(each) for each in step_bytes(parameters).values()) < 12 << 20


def test_message_that_is_too_long_is_refused():
    first, second = (start(setup) for setup in make_setups(generated(3, 2).setups[0].parameters, 3)[:2])
    with pytest.raises(MalformedMessage):
        receive_broadcast(first.state, replace(second.effects[0].broadcast, body=bytes(1281)))
    with pytest.raises(MalformedMessage):
        receive_part(first.state, SealedPart(number=0, sender=2, recipient=1, sealed=bytes(1 << 20)))


def test_messages_have_one_encoding(watched):
    for frame in watched.frames[:40]:
        parsed = type(frame).from_bytes(frame.to_bytes())
        assert parsed == frame
    first = watched.frames[0].to_bytes()
    for data in (b"", first[:50], first[:4] + b"\xff" + first[5:]):
        with pytest.raises(MalformedMessage):
            Broadcast.from_bytes(data)
    with pytest.raises(MalformedMessage):
        SealedPart.from_bytes(b"short")


def test_setup_refuses_what_does_not_belong_together():
    first, second = make_setups(generated(3, 2).setups[0].parameters, 1)[:2]
    for changes in (
        {"index": 0},
        {"index": 4},
        {"signing_key": second.signing_key},
        {"holders": first.holders[:2]},
        {"holders": (first.holders[0],) * 3},
        {"verify_keys": first.verify_keys[:2]},
        {"draft_digest": b"short"},
    ):
        with pytest.raises(ConfigurationError):
            replace(first, **changes)


def test_state_is_never_advanced_out_of_order():
    first, second, third = (start(setup) for setup in make_setups(generated(3, 2).setups[0].parameters, 2))
    assert first.state.waiting_for == (2, 3)
    own, other = first.effects[0].broadcast, second.effects[0].broadcast
    for wrong in (advance, share_kept):
        with pytest.raises(StateError):
            wrong(first.state)
    for refused in (own, replace(other, number=2), replace(other, sender=9)):
        with pytest.raises(UnexpectedMessage):
            receive_broadcast(first.state, refused)
    with pytest.raises(InvalidSignature):
        receive_broadcast(first.state, replace(other, body=other.body[:-1]))
    for part in (
        SealedPart(number=0, sender=2, recipient=3, sealed=b""),
        SealedPart(number=5, sender=2, recipient=1, sealed=b""),
        SealedPart(number=0, sender=1, recipient=1, sealed=b""),
    ):
        with pytest.raises(UnexpectedMessage):
            receive_part(first.state, part)
    once = receive_broadcast(first.state, other)
    assert receive_broadcast(once.state, other).state is once.state
    assert once.state.waiting_for == (3,)
    both = receive_broadcast(once.state, third.effects[0].broadcast)
    assert [type(each).__name__ for each in both.effects] == ["Advance"]
    # Until the step is made, messages wait.
    with pytest.raises(StateError):
        receive_broadcast(both.state, other)
    with pytest.raises(StateError):
        receive_part(both.state, SealedPart(number=1, sender=2, recipient=1, sealed=b""))


def test_broadcasts_of_the_next_step_wait_for_its_chain():
    setups = make_setups(generated(3, 2).setups[0].parameters, 2)
    first, second, third = (start(setup) for setup in setups)
    after = second.state
    for other in (first, third):
        after = receive_broadcast(after, other.effects[0].broadcast).state
    (right, *_) = advance(after).effects
    assert isinstance(right, SendBroadcast)
    state = receive_broadcast(first.state, second.effects[0].broadcast).state
    for chain in (b"1" * 32, right.broadcast.chain):
        early = Broadcast.create(
            setups[1].signing_key,
            number=1,
            step=Step.ENCAPSULATION,
            sender=2,
            chain=chain,
            hashes=(),
            body=right.broadcast.body,
        )
        state = receive_broadcast(state, early).state
        assert receive_broadcast(state, early).state is state
    with pytest.raises(UnexpectedMessage):
        receive_broadcast(state, replace_chain(right.broadcast, setups[1]))
    assert len(state.early) == 2
    state = advance(receive_broadcast(state, third.effects[0].broadcast).state).state
    assert (state.early, state.waiting_for) == ((), (3,))
    with pytest.raises(ParameterMismatch):
        receive_broadcast(state, replace_chain(right.broadcast, setups[1]))


def replace_chain(broadcast: Broadcast, setup: Setup) -> Broadcast:
    """Return a broadcast of another run."""
    return Broadcast.create(
        setup.signing_key,
        number=broadcast.number,
        step=broadcast.step,
        sender=broadcast.sender,
        chain=bytes(32),
        hashes=broadcast.hashes,
        body=broadcast.body,
    )


def test_early_broadcasts_of_one_chain_name_who_signed_two():
    setups = make_setups(generated(3, 2).setups[0].parameters, 2)
    first, second, third = (start(setup) for setup in setups)
    state = first.state
    for other in (second, third):
        reached = state
        state = receive_broadcast(state, other.effects[0].broadcast).state
    chain = advance(state).state.chain
    for body in (b"one", b"another"):
        early = Broadcast.create(
            setups[1].signing_key, number=1, step=Step.ENCAPSULATION, sender=2, chain=chain, hashes=(), body=body
        )
        reached = receive_broadcast(reached, early).state
    (end,) = advance(receive_broadcast(reached, third.effects[0].broadcast).state).effects
    assert isinstance(end, End)
    assert isinstance(end.error, Equivocation)
    assert end.error.culprits == ("holder-2",)


class Weak(Holders):
    """Keeps only weak references to what holders knew."""

    stages: list[weakref.ref[object]]

    def _carry_out(self, index: int, transition: Transition) -> None:
        if transition.state.stage is not None:
            self.stages.append(weakref.ref(transition.state.stage))
        super()._carry_out(index, transition)


class Fails(Cheat):
    """Ends at a step with an error that no peer made."""

    def alter(self, stage: Stage) -> Stage:
        return _Failing(stage.run) if stage.step is Step.UNIT else stage


class _Failing:
    step = Step.UNIT
    draft = Draft(bytes(32))

    def __init__(self, run: Run | None) -> None:
        self.run = run

    def proceed(self, received: Received) -> Stage:
        raise KeyFileError("of any family")


def test_any_error_ends_the_run_and_nothing_of_it_is_left():
    holders = Weak(make_setups(generated(3, 2).setups[0].parameters, 0), {2: Fails()})
    holders.stages = []
    holders.run()
    assert holders.outcomes[2].error.code == KeyFileError.code
    assert holders.outcomes[1].error.message == "no message arrived from holder-2"
    gc.collect()
    assert [each() for each in holders.stages if each() is not None] == []
