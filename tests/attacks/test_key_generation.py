# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Holders that deviate while a key is generated: the run ends, and names them wherever that can be known.

Where a check stops an attack, the attack succeeds without it. Three holders, the second one cheats unless a test says
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import factorial
from typing import Any

import numpy as np
import pytest
from gmpy2 import is_prime, mpz, next_prime

from coterie_common.crypto.generation import root_exponent as root
from coterie_common.crypto.generation.candidates import FactorShares, Shares
from coterie_common.crypto.generation.cells import CellPart
from coterie_common.crypto.generation.channel import SaltedPart
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.sharing import Polynomial, interpolate, share
from coterie_common.crypto.generation.steps.batches import (
    CellsStage,
    CommitmentStage,
    FactorsStage,
    PowersStage,
    ProductsStage,
    ResiduesStage,
    RootStage,
)
from coterie_common.crypto.generation.steps.evidence import Evidence
from coterie_common.crypto.generation.steps.inverting import (
    GammaStage,
    MultiplesStage,
    SecretsStage,
    SecretsVerdictStage,
    UnitsStage,
    UnitStage,
)
from coterie_common.crypto.generation.steps.messages import Broadcast, SealedPart, Step, decode_numbers, encode_numbers
from coterie_common.crypto.generation.steps.openings import (
    OpeningStage,
    SurvivorCommitmentStage,
    SurvivorStage,
    VerdictStage,
)
from coterie_common.crypto.generation.steps.setup import Check, Draft, Stage
from coterie_common.crypto.generation.steps.signing import SignatureStage, TrialStage
from coterie_common.crypto.generation.steps.starting import EncapsulationStage, StartStage
from coterie_common.errors import Equivocation, GenerationDeviation, GenerationFailed
from coterie_common.secret import Secret
from tests.support.joint_generation import Cheat, Holders, make_setups
from tests.support.seeded_random import SeededRandom

PARAMETERS = GenerationParameters._insecure_for_tests(holders=3, decryption_threshold=2, key_bits=256, batch=128)
SEED = 1
"""With which an honest run has a survivor in its first batch."""

CHEATER = 2
NAME = "holder-2"


class Altering(Cheat):
    """Changes what the holder knows, or what it sends, in one kind of step."""

    def __init__(
        self,
        kind: type[Any],
        alter: Callable[[Any], Any] = lambda stage: stage,
        say: Callable[[Any, Draft], Draft] = lambda stage, draft: draft,
    ) -> None:
        self._kind, self._alter, self._say = kind, alter, say

    def alter(self, stage: Stage) -> Stage:
        return self._alter(stage) if isinstance(stage, self._kind) else stage

    def say(self, stage: Stage, draft: Draft) -> Draft:
        return self._say(stage, draft) if isinstance(stage, self._kind) else draft


def run(
    cheat: Cheat, *left_out: Check, parameters: GenerationParameters = PARAMETERS, cheater: int = CHEATER
) -> Holders:
    holders = Holders(make_setups(parameters, SEED, *left_out), {cheater: cheat}, keeps_history=True)
    holders.run()
    return holders


def errors(holders: Holders, cheater: int = CHEATER) -> list[Any]:
    """Return how the run ended for the honest; nobody has a key."""
    assert all(each.key is None for each in holders.outcomes.values())
    return [each.error for index, each in holders.outcomes.items() if index != cheater]


def assert_named(holders: Holders) -> None:
    for error in errors(holders):
        assert isinstance(error, GenerationDeviation), error
        assert error.code == "generation-deviation"
        assert error.culprits == (NAME,)


def assert_over(holders: Holders, cheater: int = CHEATER) -> None:
    found = errors(holders, cheater)
    assert all(isinstance(error, GenerationFailed) and error.culprits == () for error in found), found
    assert {error.code for error in found} == {"generation-failed"}


def assert_completed(holders: Holders) -> None:
    assert all(each.completed is not None for each in holders.outcomes.values()), holders.outcomes


def body(change: Callable[[bytes], bytes]) -> Callable[[Any, Draft], Draft]:
    return lambda stage, draft: Draft(change(draft.body), draft.parts)


def part_for(recipient: int, change: Callable[[bytes], bytes]) -> Callable[[Any, Draft], Draft]:
    return lambda stage, draft: Draft(draft.body, {**draft.parts, recipient: change(draft.parts[recipient])})


def flipped(data: bytes) -> bytes:
    """Change a number by a little, without leaving its range or its length."""
    return data[:-1] + bytes([data[-1] ^ 1])


def cut(data: bytes) -> bytes:
    return data[:-1]


def other_residues(data: bytes) -> bytes:
    """Return other residues in range: every one that is 0 becomes 1, every other one less."""
    values = np.frombuffer(data, dtype=">u2")
    return np.where(values == 0, 1, values - 1).astype(">u2").tobytes()


def with_degree_too_high(stage: CellsStage) -> Draft:
    """Share p with a coefficient more than agreed."""
    primes = PARAMETERS.cell_primes
    parts = {}
    for other in stage.run.setup.others:
        values = stage.secrets.cells.part(PARAMETERS, other, primes).reveal().copy()
        values[0] = (values[0] + other**2) % primes
        parts[other] = CellPart(values).to_bytes()
    return Draft(parts=parts)


def product_degree_too_high(stage: FactorsStage, draft: Draft) -> Draft:
    prime = PARAMETERS.product_modulus
    parts = {}
    for other, data in draft.parts.items():
        values = list(decode_numbers(data, 41, len(data) // 41, prime) or ())
        parts[other] = encode_numbers([(v + other**2 if n % 3 == 0 else v) % prime for n, v in enumerate(values)], 41)
    return Draft(draft.body, parts)


def shifted(amount: int) -> Callable[[FactorsStage], FactorsStage]:
    """Add to every share of p and of q what was not drawn."""

    def alter(stage: FactorsStage) -> FactorsStage:
        moved = tuple(FactorShares(each.p + amount, each.q + amount) for each in stage.record.shares.reveal())
        return replace(stage, record=replace(stage.record, shares=Shares(moved)))

    return alter


NAMED = {
    "start cut off": Altering(StartStage, say=body(cut)),
    "key of another form": Altering(StartStage, say=body(lambda data: data[:64] + b"\xff" * 1184 + data[-32:])),
    "encapsulation cut off": Altering(EncapsulationStage, say=body(cut)),
    "wrong residue for one": Altering(CellsStage, say=part_for(1, other_residues)),
    "wrong residues for all": Altering(CellsStage, say=lambda stage, draft: Draft(
        parts={other: other_residues(data) for other, data in draft.parts.items()})),
    "cells cut off": Altering(CellsStage, say=part_for(3, cut)),
    "residue out of range": Altering(CellsStage, say=part_for(1, lambda data: b"\xff\xff" + data[2:])),
    "degree of p in cells": Altering(CellsStage, say=lambda stage, draft: with_degree_too_high(stage)),
    "z forced": Altering(ResiduesStage, say=body(other_residues)),
    "z cut off": Altering(ResiduesStage, say=body(cut)),
    "p = 2 mod 4": Altering(FactorsStage, shifted(2)),
    "p changed by a multiple": Altering(FactorsStage, shifted(12)),
    "wrong share of a factor for one": Altering(FactorsStage, say=part_for(3, flipped)),
    "degree of p modulo the prime": Altering(FactorsStage, say=product_degree_too_high),
    "wrong product": Altering(ProductsStage, say=body(flipped)),
    "product out of range": Altering(ProductsStage, say=body(lambda data: b"\xff" + data[1:])),
    "another commitment": Altering(CommitmentStage, say=body(flipped)),
    "wrong powers": Altering(CommitmentStage, lambda stage: replace(
        stage, powers=replace(stage.powers, values=(2,) * len(stage.powers.values)))),
    "powers cut off": Altering(PowersStage, say=body(cut)),
    "power beyond N": Altering(CommitmentStage, lambda stage: replace(stage, powers=replace(
        stage.powers, values=(stage.record.moduli[stage.record.tested[0]] + 1, *stage.powers.values[1:])))),
    "other leaf": Altering(OpeningStage, say=body(lambda data: flipped(data[:16]) + data[16:])),
    "other digest of a closed leaf": Altering(OpeningStage, say=body(flipped)),
    "opening refused": Altering(OpeningStage, say=body(lambda data: b"")),
    "false accusation": Altering(VerdictStage, lambda stage: replace(
        stage, evidence=Evidence(Step.CELLS, 1, stage.recomputed.record.parts[Step.CELLS][1]))),
    "accusation with another part": Altering(VerdictStage, lambda stage: replace(
        stage, evidence=Evidence(Step.CELLS, 1, replace(stage.recomputed.record.parts[Step.CELLS][1], content=b"")))),
    "no accusation": Altering(VerdictStage, say=body(lambda data: b"nothing")),
    "power beyond N in the tests": Altering(SurvivorCommitmentStage, lambda stage: replace(
        stage, powers=replace(stage.powers, values=(
            stage.recomputed.record.moduli[stage.survivor] + 1, *stage.powers.values[1:])))),
    "other commitment to the tests": Altering(SurvivorCommitmentStage, say=body(flipped)),
    "wrong powers in the tests": Altering(SurvivorCommitmentStage, lambda stage: replace(
        stage, powers=replace(stage.powers, values=(2, *stage.powers.values[1:])))),
    "share of γ out of range": Altering(GammaStage, say=body(lambda data: b"\xff" * len(data))),
    "unit out of range": Altering(UnitStage, say=body(lambda data: b"\xff" * len(data))),
    "commitments to no units": Altering(SecretsStage, say=body(lambda data: bytes(len(data)))),
    "integer share with a leading zero": Altering(SecretsStage, say=part_for(1, lambda data: bytes(1) + data)),
    "integer share cut off": Altering(SecretsStage, say=part_for(3, lambda data: data[1:])),
    "partial decryption": Altering(TrialStage, say=body(flipped)),
    "another record": Altering(TrialStage, say=body(lambda data: flipped(data[:32]) + data[32:])),
    "signature": Altering(SignatureStage, say=body(flipped)),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMED if name != "signature"])
def test_deviation_ends_the_run_and_names_its_author(name):
    assert_named(run(NAMED[name]))


def test_wrong_signature_at_the_end_names_its_author_and_leaves_no_signed_record():
    holders = run(NAMED["signature"])
    for index, each in holders.outcomes.items():
        if index != CHEATER:
            # The share is on disk by then; without all signatures no party uses the key.
            assert each.completed is None
            assert each.error.culprits == (NAME,)


def test_wrong_root_of_a_further_batch_names_its_author():
    parameters = GenerationParameters._insecure_for_tests(holders=3, decryption_threshold=2, key_bits=256, batch=2)
    assert_named(run(Altering(RootStage, say=body(flipped)), parameters=parameters))
    assert_named(run(Altering(RootStage, say=body(cut)), parameters=parameters))


def test_two_holders_that_deviate_are_both_named():
    cheats = {1: NAMED["z forced"], 3: NAMED["wrong product"]}
    holders = Holders(make_setups(PARAMETERS, SEED), cheats)
    assert holders.run()[2].error.culprits == ("holder-1", "holder-3")


@pytest.mark.parametrize("number", [b"\xff" * 41, None], ids=["out of range", "in range"])
def test_number_out_of_range_for_the_closed_candidate_is_evidence(number):
    """It makes the recipient take the whole part as zeros, so it counts though nobody knows what it should be."""
    holders = run(Cheat())
    stage = next(s.stage for index, s in holders.seen if index == 1 and isinstance(s.stage, VerdictStage))
    recomputed = stage.recomputed
    assert recomputed.closed is not None
    parts = recomputed.record.parts
    got, at = parts[Step.FACTORS][CHEATER], 3 * 41 * recomputed.closed
    content = got.content[:at] + (number or flipped(got.content[at : at + 41])) + got.content[at + 41 :]
    changed = {**parts, Step.FACTORS: {**parts[Step.FACTORS], CHEATER: replace(got, content=content)}}
    evidence = replace(recomputed, record=replace(recomputed.record, parts=changed)).evidence()
    assert (None if evidence is None else evidence.sender) == (CHEATER if number else None)


# What each check of the opened leaves stops: a cheater that biases p.


def pooled(holders: Holders) -> tuple[int, int]:
    """Return p and q as the holders used them."""
    known = {index: state.stage for index, state in holders.seen if isinstance(state.stage, UnitsStage)}
    wrapped = {index: state.stage.inner for index, state in holders.seen if hasattr(state.stage, "inner")
               and isinstance(state.stage.inner, UnitsStage)}  # fmt: skip
    own = [stage.modulus.shares for stage in {**known, **wrapped}.values()]
    return int(sum(each.p for each in own)), int(sum(each.q for each in own))


def test_without_the_checks_of_opened_leaves_a_holder_biases_the_modulus():
    recomputing = (Check.RESIDUES, Check.PRODUCTS, Check.POWERS, Check.PARTS)
    holders = run(NAMED["p = 2 mod 4"], *recomputing)
    assert_completed(holders)
    p, q = pooled(holders)
    assert p * q == holders.outcomes[1].key.public_key.modulus
    assert (p % 4, q % 4) == (1, 1)
    assert is_prime(p)
    assert is_prime(q)


@pytest.mark.parametrize("made", [Check.PARTS, Check.POWERS])
def test_each_of_these_checks_alone_stops_it(made):
    recomputing = {Check.RESIDUES, Check.PRODUCTS, Check.POWERS, Check.PARTS}
    holders = run(NAMED["p = 2 mod 4"], *(recomputing - {made}))
    assert all(NAME in error.culprits for error in errors(holders))


def test_without_the_check_of_residues_a_holder_chooses_cells():
    honest, forced = (run(cheat, Check.RESIDUES) for cheat in (Cheat(), NAMED["z forced"]))
    assert_completed(honest)
    assert_completed(forced)
    chosen = [
        next(state.stage.record.choice.cells.tolist() for index, state in holders.seen
             if index == 1 and isinstance(state.stage, FactorsStage))
        for holders in (honest, forced)
    ]  # fmt: skip
    assert chosen[0] != chosen[1]


def test_without_the_check_of_roots_a_holder_opens_other_leaves():
    # A leaf of a cell that nobody took: nothing else shows it but its residue.
    cheat = NAMED["other digest of a closed leaf"]
    assert_completed(run(cheat, Check.ROOTS))
    assert_named(run(cheat))


# What the commitments to powers stop: a cheater that lets a number pass which is no product of two primes.


class Rushing(Cheat):
    """Speaks last in every step, and knows then what the others have said."""

    holders: Holders

    def of(self, index: int) -> Any:
        """Return what another holder knows; the cheat uses only what it has sent."""
        return self.holders.states[index].stage


def rushing(cheat: Rushing, *left_out: Check, seed: int = SEED) -> Holders:
    cheat.holders = Holders(
        make_setups(PARAMETERS, seed, *left_out), {CHEATER: cheat}, keeps_history=True, last=frozenset({CHEATER})
    )
    cheat.holders.run()
    return cheat.holders


class LetsPass(Rushing):
    """Opens what makes the test of the first tested candidate hold."""

    def alter(self, stage: Stage) -> Stage:
        if isinstance(stage, PowersStage):
            moduli = [stage.record.moduli[candidate] for candidate in stage.record.tested]
        elif isinstance(stage, SurvivorStage):
            moduli = [stage.recomputed.record.moduli[stage.survivor]] * PARAMETERS.tests
        else:
            return stage
        others = {index: self.of(index).powers.values for index in (1, 3)}
        values = list(stage.powers.values)
        # Only the survivor-to-be: the others are recomputed.
        for place in range(1 if isinstance(stage, PowersStage) else len(values)):
            values[place] = int(others[1][place] * pow(others[3][place], -1, moduli[place]) % moduli[place])
        return replace(stage, powers=replace(stage.powers, values=tuple(values)))


def let_pass(*left_out: Check) -> Holders:
    cheat = LetsPass()
    return rushing(cheat, *left_out, seed=2)


def test_without_commitments_a_composite_passes_all_tests():
    holders = let_pass(Check.POWER_COMMITMENTS)
    p, q = pooled(holders)
    assert not (is_prime(p) and is_prime(q))
    assert Step.UNITS in holders.steps
    # The public check of the record still finds it, and names nobody.
    assert all(error.culprits == () for error in errors(holders))


class LetsPassOnce(LetsPass):
    """Lets a composite of the first batch pass the first test, and not the others."""

    def alter(self, stage: Stage) -> Stage:
        is_first = isinstance(stage, PowersStage) and stage.record.secrets.number == 1
        return super().alter(stage) if is_first else stage


def test_survivor_that_fails_a_further_test_is_opened_and_shows_who_let_it_pass():
    holders = rushing(LetsPassOnce(), Check.POWER_COMMITMENTS, seed=2)
    assert holders.steps[-2:] == [Step.CLOSING, Step.CLOSING_VERDICT]
    assert_named(holders)


def test_after_a_survivor_that_fails_a_further_test_another_batch_begins():
    # Nobody looks who let it pass, as if nobody had.
    holders = rushing(LetsPassOnce(), Check.POWER_COMMITMENTS, Check.POWERS, seed=2)
    place = holders.steps.index(Step.CLOSING_VERDICT)
    assert holders.steps[place + 1] is Step.ROOT


def test_with_commitments_who_opens_something_else_is_named():
    assert_named(let_pass())


class Copies(Rushing):
    """Sends the first holder's commitment and opening as its own."""

    def say(self, stage: Stage, draft: Draft) -> Draft:
        if not isinstance(stage, (CommitmentStage, PowersStage)):
            return draft
        first = self.of(1)
        made: Draft = (first.powers.commitment if isinstance(stage, CommitmentStage) else first.powers.opening)(
            first.run
        )
        return made


def test_copied_commitment_is_not_opened_by_the_copied_powers():
    assert_named(rushing(Copies()))


# What the checks of γ stop: a cheater that reads φ.


def opened_gamma(holders: Holders, prime: int) -> int:
    """Return what everybody sees in the step that opens γ."""
    bodies = {
        frame.sender: int.from_bytes(frame.body, "big")
        for frame in holders.frames
        if isinstance(frame, Broadcast) and frame.step is Step.GAMMA
    }
    return interpolate([bodies[index] for index in sorted(bodies)], prime)


def totient(holders: Holders) -> int:
    p, q = pooled(holders)
    return (p - 1) * (q - 1)


def field_of(holders: Holders) -> int:
    return next(
        state.stage.gamma_modulus
        for index, state in holders.seen
        if index == 1 and isinstance(state.stage, MultiplesStage)
    )


OVERSIZED = 1 << (2 * 256 + 330)


def oversized(stage: MultiplesStage) -> MultiplesStage:
    """Share λ = 2^{(s+1)|N|+330} in place of one below e·2^128/k."""
    setup = stage.run.setup
    multiple = share(OVERSIZED, setup.parameters.degree, stage.gamma_modulus, setup.random)
    return replace(stage, polynomials=(multiple, *stage.polynomials[1:]))


def in_a_wide_field(stage: MultiplesStage) -> MultiplesStage:
    """Share everything modulo a prime in which the oversized λ does not wrap around."""
    setup, n = stage.run.setup, stage.modulus.value
    prime = int(next_prime(mpz(root.max_gamma(PARAMETERS, n)) ** 2))
    polynomials = (
        share(root.draw_multiple(PARAMETERS, n, setup.random), 1, prime, setup.random),
        share(root.totient_share(setup.index, n, stage.modulus.shares), 1, prime, setup.random),
        share(0, 2, prime, setup.random),
    )
    return replace(stage, gamma_modulus=prime, polynomials=polynomials)


WIDE = Altering(MultiplesStage, in_a_wide_field)
"""What everybody does where nobody thought of the width of the field."""


def run_in_a_wide_field(cheat: Cheat, *left_out: Check) -> Holders:
    cheats = {1: WIDE, CHEATER: cheat, 3: WIDE}
    # γ is longer than the product takes, too.
    holders = Holders(make_setups(PARAMETERS, SEED, *left_out), cheats, keeps_history=True, any_length=True)
    holders.run()
    return holders


def wide_of(holders: Holders) -> int:
    """Return P of the wide field."""
    wrapped = (getattr(state.stage, "inner", None) for _, state in holders.seen)
    return next(stage.gamma_modulus for stage in wrapped if isinstance(stage, GammaStage))


@pytest.mark.parametrize(
    "left_out", [(), (Check.GAMMA_RANGE, Check.GAMMA_COMMITMENTS)], ids=["with the checks of γ", "without"]
)
def test_oversized_multiple_shows_the_totient_in_a_wide_field(left_out):
    # Whether the run ends or not: who cheats has read φ by then.
    holders = run_in_a_wide_field(Altering(MultiplesStage, lambda s: oversized(in_a_wide_field(s))), *left_out)
    assert opened_gamma(holders, wide_of(holders)) // OVERSIZED == totient(holders)


def test_oversized_multiple_wraps_in_the_narrow_field_and_ends_the_run():
    holders = run(Altering(MultiplesStage, oversized))
    assert_over(holders)
    n, prime = (
        next(s.stage.modulus.value for i, s in holders.seen if isinstance(s.stage, UnitsStage)),
        field_of(holders),
    )
    assert prime < 8 * root.max_gamma(PARAMETERS, n)
    assert opened_gamma(holders, prime) // OVERSIZED != totient(holders)


def cancelling(stage: SecretsStage) -> SecretsStage:
    """Share R so that e·R cancels all of λ·φ but −λ·(p + q); a long coefficient keeps the shares positive."""
    n = stage.modulus.value
    negative = -(OVERSIZED * (n + 1) // n) * factorial(3)
    polynomial = Polynomial((mpz(negative), mpz(-2 * negative)))
    base = stage.modulus.bases.verification
    return replace(stage, secret=polynomial, commitments=tuple(int(c) for c in root.commit(polynomial, base, n)))


class Cancels(Cheat):
    def __init__(self, is_wide: bool = False) -> None:
        self.is_wide = is_wide

    def alter(self, stage: Stage) -> Stage:
        if isinstance(stage, MultiplesStage):
            return oversized(in_a_wide_field(stage) if self.is_wide else stage)
        return cancelling(stage) if isinstance(stage, SecretsStage) else stage


class CancelsAtLength(Cancels):
    """Sends the shares in as many bytes as they need."""

    def alter(self, stage: Stage) -> Stage:
        altered = super().alter(stage)
        return _Long(altered) if isinstance(altered, SecretsStage) else altered


class _Long:
    """The stage of the shares with parts that are longer than agreed."""

    step = Step.SECRETS

    def __init__(self, inner: SecretsStage) -> None:
        self.inner = inner
        self.run = inner.run

    @property
    def draft(self) -> Draft:
        return Draft(
            encode_numbers(self.inner.commitments, 32),
            {other: int(self.inner.secret.at(other)).to_bytes(200, "big") for other in self.run.setup.others},
        )

    def proceed(self, received: Any) -> Any:
        return self.inner.proceed(received)


def test_multiple_that_a_secret_cancels_shows_the_factors_where_its_size_is_not_checked():
    holders = run_in_a_wide_field(
        CancelsAtLength(is_wide=True), Check.SHARE_SIZE, Check.GAMMA_RANGE, Check.GAMMA_COMMITMENTS
    )
    prime = wide_of(holders)
    gamma = opened_gamma(holders, prime)
    p, q = pooled(holders)
    # −λ·(p + q) and what hides nothing of it.
    assert -((gamma - prime) // OVERSIZED) in range(p + q - 2, p + q + 3)


def test_multiple_that_a_secret_cancels_ends_the_run_and_is_named():
    assert_named(run(CancelsAtLength()))


def other_root_share(stage: MultiplesStage) -> MultiplesStage:
    return replace(stage, root_share=Secret(stage.root_share.reveal() + 6))


def test_secret_that_differs_in_gamma_ends_the_run():
    assert_over(run(Altering(MultiplesStage, other_root_share)))


def test_share_that_is_not_what_was_committed_to_names_its_author():
    # The recipient shows it to all.
    assert_named(run(Altering(SecretsStage, say=part_for(1, flipped))))


def test_false_accusation_of_an_integer_share_names_the_accuser():
    def accuse(stage: SecretsVerdictStage) -> SecretsVerdictStage:
        return replace(stage, evidence=Evidence(Step.SECRETS, 1, SaltedPart(bytes(32), b"\xff" * 200)))

    assert_named(run(Altering(SecretsVerdictStage, accuse)))


def test_true_share_is_no_evidence():
    """The accuser shows what it got, which its sender committed to."""
    parts: dict[int, SaltedPart] = {}

    class Accuses(Cheat):
        def alter(self, stage: Stage) -> Stage:
            if isinstance(stage, SecretsVerdictStage):
                return replace(stage, evidence=Evidence(Step.SECRETS, 1, parts[1]))
            return _Noting(stage, parts) if isinstance(stage, SecretsStage) else stage

    assert_named(run(Accuses()))


class _Noting:
    """The stage of the shares, which notes what came."""

    step = Step.SECRETS

    def __init__(self, inner: SecretsStage, parts: dict[int, SaltedPart]) -> None:
        self.inner, self.run, self.draft, self._parts = inner, inner.run, inner.draft, parts

    def proceed(self, received: Any) -> Any:
        self._parts |= received.parts
        return self.inner.proceed(received)


def test_without_the_check_of_commitments_a_wrong_share_reaches_the_record():
    holders = run(Altering(SecretsStage, say=part_for(1, flipped)), Check.SHARE_COMMITMENTS, Check.GAMMA_COMMITMENTS)
    # By luck it never gets further: the record does not hold.
    assert Step.GAMMA in holders.steps
    assert all(error.culprits == () for error in errors(holders))


class ForcesGamma(Rushing):
    """Makes γ a multiple of N."""

    def say(self, stage: Stage, draft: Draft) -> Draft:
        if not isinstance(stage, GammaStage):
            return draft
        # Weights 3, −3, 1 at 0.
        rest = 3 * self.of(1).share + self.of(3).share - 5 * stage.modulus.value
        return Draft((rest * pow(3, -1, stage.gamma_modulus) % stage.gamma_modulus).to_bytes(len(draft.body), "big"))


@pytest.mark.parametrize("left_out", [(), (Check.GAMMA_COMMITMENTS,)], ids=["all checks", "without commitments"])
def test_gamma_that_is_forced_to_a_multiple_of_the_modulus_ends_the_run(left_out):
    assert_over(rushing(ForcesGamma(), *left_out))


class ForcesZero(Rushing):
    """Makes r·(p + q − 1) zero."""

    def say(self, stage: Stage, draft: Draft) -> Draft:
        if not isinstance(stage, UnitStage):
            return draft
        n = stage.modulus.value
        own = (3 * self.of(1).share + self.of(3).share) * pow(3, -1, n) % n
        return Draft(own.to_bytes(len(draft.body), "big"))


def test_zero_in_place_of_a_unit_ends_the_run():
    assert_completed(rushing(ForcesZero(), Check.UNIT))
    assert_over(rushing(ForcesZero()))


def test_malformed_part_after_the_openings_ends_the_run():
    for kind in (UnitsStage, MultiplesStage):
        assert_over(run(Altering(kind, say=part_for(3, lambda data: b"\xff" * len(data)))))


# The relay, and what it cannot do.


def relayed(relay: Callable[[int, Broadcast], Broadcast | None]) -> Holders:
    holders = Holders(make_setups(PARAMETERS, SEED), relay=relay)
    holders.run()
    return holders


def test_relay_that_shows_holders_different_messages_ends_the_run():
    """The cheater signs two versions of one step; each honest holder sees one."""
    setup = make_setups(PARAMETERS, SEED)[CHEATER - 1]

    def relay(recipient: int, broadcast: Broadcast) -> Broadcast:
        if broadcast.sender != CHEATER or broadcast.step is not Step.COMMITMENT or recipient != 3:
            return broadcast
        return Broadcast.create(
            setup.signing_key, number=broadcast.number, step=broadcast.step, sender=CHEATER,
            chain=broadcast.chain, hashes=(), body=bytes(32),
        )  # fmt: skip

    holders = relayed(relay)
    # Who was shown something else is in another chain: its messages are refused, and nothing else comes.
    assert holders.refused
    assert_over(holders, cheater=0)


class SignsTwo(Holders):
    """Delivers to the first holder two versions of one step, signed by the second, and of the third nothing."""

    step = Step.START

    def _take(self, recipient: int, broadcast: Broadcast) -> None:
        if (recipient, broadcast.sender, broadcast.step) == (1, 3, self.step):
            return
        super()._take(recipient, broadcast)
        if (recipient, broadcast.sender, broadcast.step) == (1, CHEATER, self.step):
            key = self.setups[CHEATER - 1].signing_key
            number, step, chain = broadcast.number, broadcast.step, broadcast.chain
            super()._take(recipient, Broadcast.create(
                key, number=number, step=step, sender=CHEATER, chain=chain, hashes=(), body=b"another"
            ))  # fmt: skip


@pytest.mark.parametrize("step", [Step.ENCAPSULATION, Step.RESIDUES, Step.GAMMA])
def test_two_versions_to_one_holder_name_the_signer(step):
    holders = SignsTwo(make_setups(PARAMETERS, SEED))
    holders.step = step
    error = holders.run()[1].error
    assert isinstance(error, Equivocation)
    assert error.culprits == (NAME,)


def test_two_versions_of_the_start_end_the_run_and_name_nobody():
    # One of them may be of an aborted run: no chain tells them apart.
    holders = SignsTwo(make_setups(PARAMETERS, SEED))
    holders.run()
    assert_over(holders)


class Replays(Holders):
    """Delivers what holders sent in an aborted run before, or after, the same message of this one."""

    old: Mapping[tuple[int, int], Broadcast]
    is_first = True
    first_number = 1

    def _take(self, recipient: int, broadcast: Broadcast) -> None:
        both = [broadcast]
        if (key := (broadcast.number, broadcast.sender)) in self.old and broadcast.number >= self.first_number:
            both.insert(0 if self.is_first else 1, self.old[key])
        for each in both:
            if not self.states[recipient].is_advancing and self.states[recipient].stage is not None:
                super()._take(recipient, each)


def replayed(is_first: bool, first_number: int) -> Replays:
    before = Holders(make_setups(PARAMETERS, "an aborted run"))
    before.run()
    holders = Replays(make_setups(PARAMETERS, SEED))
    holders.old = {(each.number, each.sender): each for each in before.frames if isinstance(each, Broadcast)}
    holders.is_first, holders.first_number = is_first, first_number
    holders.run()
    return holders


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
def test_replayed_messages_of_an_aborted_run_beside_those_of_this_one_change_nothing(is_first):
    holders = replayed(is_first, first_number=1)
    assert_completed(holders)
    assert holders.refused


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
def test_replayed_start_beside_that_of_this_run_names_nobody(is_first):
    holders = replayed(is_first, first_number=0)
    assert_over(holders, cheater=0)


def test_message_of_an_aborted_run_ends_the_next_one():
    before = Holders(make_setups(PARAMETERS, "an aborted run"))
    before.run()
    old = next(f for f in before.frames if isinstance(f, Broadcast) and (f.sender, f.step) == (2, Step.START))

    def relay(recipient: int, broadcast: Broadcast) -> Broadcast:
        return old if (broadcast.sender, broadcast.step) == (2, Step.START) else broadcast

    assert all(error is not None and error.culprits == () for error in errors(relayed(relay), cheater=0))


@pytest.mark.parametrize("step", [Step.START, Step.RESIDUES, Step.POWERS, Step.OPENING, Step.GAMMA, Step.TRIAL])
def test_silence_ends_the_run_without_a_signed_record(step):
    holders = relayed(lambda _, broadcast: None if (broadcast.sender, broadcast.step) == (2, step) else broadcast)
    # The silent one itself may have got as far as its signature.
    assert all(each.completed is None for each in holders.outcomes.values())
    assert {holders.outcomes[index].error.code for index in (1, 3)} == {"generation-failed"}
    assert holders.outcomes[1].key is None


def test_altered_part_ends_the_run_and_names_nobody():
    holders = Holders(make_setups(PARAMETERS, SEED), {CHEATER: Altering(CellsStage)})
    original = holders._carry_out

    def carry_out(index: int, transition: Any) -> None:
        effects = tuple(
            replace(each, part=replace(each.part, sealed=flipped(each.part.sealed)))
            if isinstance(getattr(each, "part", None), SealedPart) and index == CHEATER
            else each
            for each in transition.effects
        )
        original(index, replace(transition, effects=effects))

    holders._carry_out = carry_out  # type: ignore[method-assign]  # the test's own driver
    holders.run()
    assert all(error.code == "generation-failed" for error in errors(holders))


def test_recorded_run_and_all_long_term_keys_open_no_part():
    """The seals depend on what each holder drew for this run, and on nothing that outlives it."""
    setups = make_setups(PARAMETERS, SEED)
    again = tuple(replace(setup, random=SeededRandom(f"another {setup.index}")) for setup in setups)
    first, second = Holders(setups, keeps_history=True), Holders(again, keeps_history=True)
    first.run()
    second.run()
    keys = [
        {key.reveal() for state in holders.seen if (run := getattr(state[1].stage, "run", None)) is not None
         for key in (*run.sending.values(), *run.receiving.values())}
        for holders in (first, second)
    ]  # fmt: skip
    assert len(keys[0]) == len(keys[1]) == 6
    assert keys[0].isdisjoint(keys[1])
