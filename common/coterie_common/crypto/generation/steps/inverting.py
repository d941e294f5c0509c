# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steps from a tested N to the root exponent: one gcd, integer shares, multiples of φ, and γ.

Nothing of these steps is opened afterwards, so each check stands by itself, and a failed one ends the run: this N is
never taken up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from gmpy2 import gcd

from coterie_common.crypto.generation import root_exponent as root
from coterie_common.crypto.generation.biprimality import UnitValues, factor_sum, is_unit, unit_share
from coterie_common.crypto.generation.candidates import FactorShares
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.record import Bases, build_record, expand_bases
from coterie_common.crypto.generation.sharing import Polynomial, integer_share_bound, share
from coterie_common.crypto.generation.steps.evidence import Evidence
from coterie_common.crypto.generation.steps.messages import Broadcast, Step, decode_numbers, encode_numbers, width
from coterie_common.crypto.generation.steps.setup import Check, Draft, Received, Run, Stage
from coterie_common.crypto.generation.steps.signing import TrialStage
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey, check_record
from coterie_common.errors import KeyFileError
from coterie_common.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Modulus:
    """An N that passed all tests.

    Attributes:
        value: N.
        shares: this holder's of its factors.
        chain: the digest of all broadcasts until N was opened.
    """

    value: int
    shares: FactorShares = field(repr=False)
    chain: bytes

    @cached_property
    def bases(self) -> Bases:
        """The generator h and the verification base v."""
        return expand_bases(self.chain, self.value)


def _parts(run: Run, polynomials: tuple[Polynomial, ...], modulus: int) -> dict[int, bytes]:
    """Return the values of polynomials modulo a number for every other holder."""
    size = width(modulus)
    return {
        other: encode_numbers([int(each.at(other, modulus)) for each in polynomials], size)
        for other in run.setup.others
    }


def _values(run: Run, received: Received, polynomials: tuple[Polynomial, ...], modulus: int) -> list[tuple[int, ...]]:
    """Return three values from everybody, this holder's own first."""
    found = [tuple(int(each.at(run.setup.index, modulus)) for each in polynomials)]
    for part in received.parts.values():
        values = decode_numbers(part.content, width(modulus), len(polynomials), modulus)
        if values is None:
            run.setup.fail("a part is malformed")
        found.append(values)
    return found


def _numbers(run: Run, received: Received, modulus: int) -> dict[int, int]:
    """Return the number that every holder opened, by index."""
    opened = {}
    for index, body in received.bodies().items():
        values = decode_numbers(body, width(modulus), 1, modulus)
        if values is None:
            run.setup.blame([index], "an opened number is malformed")
        opened[index] = values[0]
    return opened


@dataclass(frozen=True, kw_only=True)
class UnitsStage:
    """Shares over Z_N of a random r, of p + q − 1 and of zero."""

    step: ClassVar[Step] = Step.UNITS
    run: Run
    modulus: Modulus
    polynomials: tuple[Polynomial, Polynomial, Polynomial]

    @classmethod
    def create(cls, run: Run, modulus: Modulus) -> UnitsStage:
        """Share; N has no factor up to k."""
        random, n, degree = run.setup.random, modulus.value, run.setup.parameters.degree
        polynomials = (
            share(random.randbelow(n), degree, n, random),
            share(factor_sum(run.setup.index, modulus.shares), degree, n, random),
            share(0, run.setup.parameters.zero_degree, n, random),
        )
        return cls(run=run, modulus=modulus, polynomials=polynomials)

    @property
    def draft(self) -> Draft:
        """Three numbers for every other holder."""
        return Draft(parts=_parts(self.run, self.polynomials, self.modulus.value))

    def proceed(self, received: Received) -> Stage:
        """Multiply."""
        n = self.modulus.value
        values = _values(self.run, received, self.polynomials, n)
        return UnitStage(
            run=self.run, modulus=self.modulus, share=unit_share([UnitValues(*each) for each in values], n)
        )


@dataclass(frozen=True, kw_only=True)
class UnitStage:
    """This holder's share of r·(p+q−1) modulo N."""

    step: ClassVar[Step] = Step.UNIT
    run: Run
    modulus: Modulus
    share: int = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The share."""
        return Draft(encode_numbers([self.share], width(self.modulus.value)))

    def proceed(self, received: Received) -> Stage:
        """Share the root exponent's integers."""
        setup, n = self.run.setup, self.modulus.value
        opened = _numbers(self.run, received, n)
        # For products of two primes of this size it never fails.
        if setup.makes(Check.UNIT) and not is_unit(opened, n):
            setup.fail("N has a factor in common with p + q − 1")
        secret = root.draw_secret(setup.parameters, n, setup.random)
        return SecretsStage(
            run=self.run,
            modulus=self.modulus,
            secret=secret,
            commitments=root.commit(secret, self.modulus.bases.verification, n),
        )


@dataclass(frozen=True, kw_only=True)
class SecretsStage:
    """Integer shares of R_i, and commitments to the coefficients."""

    step: ClassVar[Step] = Step.SECRETS
    run: Run
    modulus: Modulus
    secret: Polynomial
    commitments: tuple[int, ...] = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The commitments; one integer for every other holder."""
        parameters, n = self.run.setup.parameters, self.modulus.value
        return Draft(
            encode_numbers(self.commitments, width(n)),
            {
                other: encode_numbers([int(self.secret.at(other))], width(_share_bound(parameters, n, other)))
                for other in self.run.setup.others
            },
        )

    def proceed(self, received: Received) -> Stage:
        """Check every integer."""
        setup, n = self.run.setup, self.modulus.value
        commitments = {}
        for index, body in received.bodies().items():
            values = decode_numbers(body, width(n), setup.parameters.decryption_threshold, n)
            if values is None or any(gcd(value, n) != 1 for value in values):
                setup.blame([index], "commitments are malformed")
            commitments[index] = values
        total, evidence = int(self.secret.at(setup.index)), None
        for sender, part in received.parts.items():
            total += int.from_bytes(part.content, "big")
            if _is_wrong_share(self.run, self.modulus, part.content, setup.index, commitments[sender]):
                evidence = Evidence(self.step, sender, part)
        return SecretsVerdictStage(
            run=self.run,
            modulus=self.modulus,
            commitments=commitments,
            root_share=Secret(total),
            broadcasts=received.broadcasts,
            evidence=evidence,
        )


def _share_bound(parameters: GenerationParameters, modulus: int, holder: int) -> int:
    """Return the bound of every integer share for one holder."""
    bits = root.secret_bits(modulus)
    return integer_share_bound(bits, parameters.holders, parameters.decryption_threshold, holder)


def _is_wrong_share(run: Run, modulus: Modulus, content: bytes, holder: int, commitments: tuple[int, ...]) -> bool:
    """Return whether an integer share has another length or size, or is not what its author committed to."""
    setup, n, value = run.setup, modulus.value, int.from_bytes(content, "big")
    length = width(_share_bound(setup.parameters, n, holder))
    if len(content) != length or not root.is_in_size(setup.parameters, n, holder, value):
        # A power with an exponent of any length would take any time.
        return setup.makes(Check.SHARE_SIZE)
    matches = root.matches(value, holder, commitments, modulus.bases.verification, n)
    return setup.makes(Check.SHARE_COMMITMENTS) and not matches


@dataclass(frozen=True, kw_only=True)
class SecretsVerdictStage:
    """Evidence against somebody's integer share, or none."""

    step: ClassVar[Step] = Step.SECRETS_VERDICT
    run: Run
    modulus: Modulus
    commitments: Mapping[int, tuple[int, ...]] = field(repr=False)
    root_share: Secret[int]
    broadcasts: Mapping[int, Broadcast] = field(repr=False)
    evidence: Evidence | None

    @property
    def draft(self) -> Draft:
        """The evidence."""
        return Draft(b"" if self.evidence is None else self.evidence.to_bytes())

    def proceed(self, received: Received) -> Stage:
        """Judge; share a multiple of φ."""
        setup, n, culprits = self.run.setup, self.modulus.value, set[int]()
        for index, body in received.bodies().items():
            if body:
                culprits.add(self._author(Evidence.from_bytes(body), index))
        if culprits:
            setup.blame(culprits, "an integer share is too long, or not what was committed to")
        gamma_modulus = root.gamma_modulus(setup.parameters, n)
        random, degree = setup.random, setup.parameters.degree
        polynomials = (
            share(root.draw_multiple(setup.parameters, n, random), degree, gamma_modulus, random),
            share(root.totient_share(setup.index, n, self.modulus.shares), degree, gamma_modulus, random),
            share(0, setup.parameters.zero_degree, gamma_modulus, random),
        )
        return MultiplesStage(
            run=self.run,
            modulus=self.modulus,
            commitments=self.commitments,
            root_share=self.root_share,
            gamma_modulus=gamma_modulus,
            polynomials=polynomials,
        )

    def _author(self, evidence: Evidence | None, accuser: int) -> int:
        """Return who deviated: the sender of a wrong share, or who accuses without one."""
        if (
            evidence is not None
            and evidence.step is Step.SECRETS
            and evidence.came_to(accuser, self.run.session_id, self.broadcasts)
            and _is_wrong_share(
                self.run, self.modulus, evidence.part.content, accuser, self.commitments[evidence.sender]
            )
        ):
            return evidence.sender
        return accuser


@dataclass(frozen=True, kw_only=True)
class MultiplesStage:
    """Shares of λ, of φ and of zero, modulo P."""

    step: ClassVar[Step] = Step.MULTIPLES
    run: Run
    modulus: Modulus
    commitments: Mapping[int, tuple[int, ...]] = field(repr=False)
    root_share: Secret[int]
    gamma_modulus: int = field(repr=False)
    polynomials: tuple[Polynomial, Polynomial, Polynomial]

    @property
    def draft(self) -> Draft:
        """Three numbers for every other holder."""
        return Draft(parts=_parts(self.run, self.polynomials, self.gamma_modulus))

    def proceed(self, received: Received) -> Stage:
        """Make the share of γ."""
        setup = self.run.setup
        values = [root.GammaValues(*each) for each in _values(self.run, received, self.polynomials, self.gamma_modulus)]
        own = root.gamma_share(
            setup.parameters, self.modulus.value, values, self.root_share.reveal(), self.gamma_modulus
        )
        return GammaStage(
            run=self.run,
            modulus=self.modulus,
            commitments=self.commitments,
            root_share=self.root_share,
            gamma_modulus=self.gamma_modulus,
            share=own,
        )


@dataclass(frozen=True, kw_only=True)
class GammaStage:
    """This holder's share of γ."""

    step: ClassVar[Step] = Step.GAMMA
    run: Run
    modulus: Modulus
    commitments: Mapping[int, tuple[int, ...]] = field(repr=False)
    root_share: Secret[int]
    gamma_modulus: int = field(repr=False)
    share: int = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The share."""
        return Draft(encode_numbers([self.share], width(self.gamma_modulus)))

    def proceed(self, received: Received) -> Stage:
        """Check γ, make the record, and try it."""
        setup, n = self.run.setup, self.modulus.value
        gamma = root.open_gamma(setup.parameters, _numbers(self.run, received, self.gamma_modulus), self.gamma_modulus)
        self._check(gamma)
        exponents = root.root_exponents(setup.parameters, n, gamma)
        try:
            commitments = [self.commitments[index] for index in setup.indices]
            key: ThresholdPublicKey = build_record(setup.parameters, n, self.modulus.bases, exponents, commitments)
            check_record(key)
        except KeyFileError as cause:
            setup.fail(f"the key record does not hold: {cause.message}")
        return TrialStage.create(self.run, key, KeyShare(setup.index, self.root_share))

    def _check(self, gamma: int) -> None:
        setup, n = self.run.setup, self.modulus.value
        if setup.makes(Check.GAMMA_RANGE) and gamma > root.max_gamma(setup.parameters, n):
            setup.fail("γ is larger than it can be")
        constants = [self.commitments[index][0] for index in setup.indices]
        verification = self.modulus.bases.verification
        if setup.makes(Check.GAMMA_COMMITMENTS) and not root.is_committed(
            setup.parameters, n, gamma, constants, verification
        ):
            setup.fail("γ does not belong to what was committed to")
        # No exponent exists then: this check cannot be left out.
        if gcd(gamma, n) != 1:
            setup.fail("γ has a factor in common with N")
