# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steps of one batch until its first test: cells, residues, factors, products, powers.

What comes wrong in a part is taken as zeros and goes on: after the opening of the leaves everybody sees whose it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from coterie_common.crypto.generation import cells
from coterie_common.crypto.generation.biprimality import passes
from coterie_common.crypto.generation.candidates import (
    factor_shares,
    is_well_formed,
    polynomials,
    with_small_factor,
)
from coterie_common.crypto.generation.cells import CellPart, choose
from coterie_common.crypto.generation.sharing import interpolate
from coterie_common.crypto.generation.small_sharing import Int64Array
from coterie_common.crypto.generation.steps.batch_record import (
    BatchRecord,
    Powers,
    decode_powers,
    make_powers,
    power_of,
)
from coterie_common.crypto.generation.steps.batch_secrets import BatchSecrets
from coterie_common.crypto.generation.steps.messages import Step, decode_numbers, encode_numbers, width
from coterie_common.crypto.generation.steps.openings import OpeningStage
from coterie_common.crypto.generation.steps.setup import Check, Draft, Received, Run, Stage
from coterie_common.crypto.hashing import DIGEST_BYTES


@dataclass(frozen=True, kw_only=True)
class RootStage:
    """The root of a further batch."""

    step: ClassVar[Step] = Step.ROOT
    run: Run
    secrets: BatchSecrets = field(repr=False)

    @classmethod
    def create(cls, run: Run, number: int) -> RootStage:
        """Draw the leaves of the batch."""
        setup = run.setup
        return cls(run=run, secrets=BatchSecrets.generate(setup, run.nonces[setup.index - 1], number))

    @property
    def draft(self) -> Draft:
        """The root."""
        return Draft(self.secrets.root)

    def proceed(self, received: Received) -> Stage:
        """Share the cells."""
        roots = received.bodies()
        if wrong := [index for index, body in roots.items() if len(body) != DIGEST_BYTES]:
            self.run.setup.blame(wrong, "a root has a wrong length")
        return CellsStage(run=self.run, secrets=self.secrets, roots=roots)


@dataclass(frozen=True, kw_only=True)
class CellsStage:
    """Shares of p, of r and of zero in every cell."""

    step: ClassVar[Step] = Step.CELLS
    run: Run
    secrets: BatchSecrets = field(repr=False)
    roots: Mapping[int, bytes] = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The values for every other holder."""
        parameters = self.run.setup.parameters
        primes = parameters.cell_primes
        return Draft(
            parts={
                other: self.secrets.cells.part(parameters, other, primes).to_bytes() for other in self.run.setup.others
            }
        )

    def proceed(self, received: Received) -> Stage:
        """Open z."""
        setup = self.run.setup
        primes = setup.parameters.cell_primes
        record = BatchRecord(secrets=self.secrets, roots=self.roots).with_parts(self.step, received)
        parts = [self.secrets.cells.part(setup.parameters, setup.index, primes)]
        for part in received.parts.values():
            values = cells.decode(part.content, primes, cells.ROWS)
            parts.append(CellPart(np.zeros((cells.ROWS, len(primes)), np.int64) if values is None else values))
        return ResiduesStage(run=self.run, record=record, part=CellPart.total(parts, primes))


@dataclass(frozen=True, kw_only=True)
class ResiduesStage:
    """This holder's share of z in every cell."""

    step: ClassVar[Step] = Step.RESIDUES
    run: Run
    record: BatchRecord
    part: CellPart

    @property
    def draft(self) -> Draft:
        """The shares."""
        return Draft(cells.encode(self.part.product_share(self.run.setup.parameters.cell_primes)))

    def proceed(self, received: Received) -> Stage:
        """Choose cells, and share the factors that they make."""
        setup = self.run.setup
        shares: dict[int, Int64Array] = {}
        for index, body in received.bodies().items():
            values = cells.decode(body, setup.parameters.cell_primes, 1)
            if values is None:
                setup.blame([index], "opened residues are malformed")
            shares[index] = values[0]
        choice = choose(setup.parameters, shares)
        drawn = self.record.secrets.candidates
        own = factor_shares(setup.parameters, setup.index, self.part, choice, drawn)
        return FactorsStage(run=self.run, record=replace(self.record, residues=shares, choice=choice, shares=own))


@dataclass(frozen=True, kw_only=True)
class FactorsStage:
    """Shares of p and q and of zero, modulo ``product_modulus``."""

    step: ClassVar[Step] = Step.FACTORS
    run: Run
    record: BatchRecord

    def _values_for(self, point: int) -> list[int]:
        modulus, record = self.run.setup.parameters.product_modulus, self.record
        own = zip(record.shares.reveal(), record.secrets.candidates, strict=False)
        return [int(each.at(point, modulus)) for shares, draws in own for each in polynomials(shares, draws)]

    @property
    def draft(self) -> Draft:
        """Three numbers per candidate for every other holder."""
        size = width(self.run.setup.parameters.product_modulus)
        return Draft(parts={other: encode_numbers(self._values_for(other), size) for other in self.run.setup.others})

    def proceed(self, received: Received) -> Stage:
        """Multiply."""
        setup, record = self.run.setup, self.record.with_parts(self.step, received)
        modulus, count = setup.parameters.product_modulus, 3 * record.choice.candidates
        totals = self._values_for(setup.index)
        for part in received.parts.values():
            values = decode_numbers(part.content, width(modulus), count, modulus) or (0,) * count
            totals = [total + value for total, value in zip(totals, values, strict=True)]
        products = tuple((totals[n] * totals[n + 1] + totals[n + 2]) % modulus for n in range(0, count, 3))
        return ProductsStage(run=self.run, record=record, shares=products)


@dataclass(frozen=True, kw_only=True)
class ProductsStage:
    """This holder's share of every N."""

    step: ClassVar[Step] = Step.PRODUCTS
    run: Run
    record: BatchRecord
    shares: tuple[int, ...] = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The shares."""
        return Draft(encode_numbers(self.shares, width(self.run.setup.parameters.product_modulus)))

    def proceed(self, received: Received) -> Stage:
        """Open N of every candidate; compute powers for those without a small factor."""
        setup, record, parameters = self.run.setup, self.record, self.run.setup.parameters
        shared_modulo = parameters.product_modulus
        opened: dict[int, tuple[int, ...]] = {}
        for index, body in received.bodies().items():
            values = decode_numbers(body, width(shared_modulo), record.choice.candidates, shared_modulo)
            if values is None:
                setup.blame([index], "opened products are malformed")
            opened[index] = values
        moduli = tuple(interpolate(shares, shared_modulo) for shares in zip(*opened.values(), strict=True))
        divided = with_small_factor(moduli)
        tested = tuple(
            candidate
            for candidate, modulus in enumerate(moduli)
            if not divided[candidate] and (is_well_formed(parameters, modulus) or not setup.makes(Check.FORM))
        )
        shares = record.shares.reveal()
        powers = tuple(power_of(self.run, moduli[each], 0, setup.index, shares[each]) for each in tested)
        return CommitmentStage(
            run=self.run,
            record=replace(record, product_shares=opened, moduli=moduli, chain=received.chain, tested=tested),
            powers=make_powers(self.run, 2 * record.secrets.number, powers),
        )


@dataclass(frozen=True, kw_only=True)
class CommitmentStage:
    """A commitment to the powers of the first test."""

    step: ClassVar[Step] = Step.COMMITMENT
    run: Run
    record: BatchRecord
    powers: Powers

    @property
    def draft(self) -> Draft:
        """The commitment."""
        return self.powers.commitment(self.run)

    def proceed(self, received: Received) -> Stage:
        """Open the powers."""
        return PowersStage(run=self.run, record=self.record, powers=self.powers, commitments=received.bodies())


@dataclass(frozen=True, kw_only=True)
class PowersStage:
    """The powers of the first test."""

    step: ClassVar[Step] = Step.POWERS
    run: Run
    record: BatchRecord
    powers: Powers
    commitments: Mapping[int, bytes] = field(repr=False)

    @property
    def draft(self) -> Draft:
        """The salt, then the powers."""
        return self.powers.opening(self.run)

    def proceed(self, received: Received) -> Stage:
        """Find the survivor: the first that passes. All else is opened."""
        record, moduli = self.record, [self.record.moduli[candidate] for candidate in self.record.tested]
        opened = decode_powers(self.run, received, self.commitments, self.powers.number, moduli)
        record = replace(record, powers=opened)
        for place, candidate in enumerate(record.tested):
            if passes({index: values[place] for index, values in opened.items()}, moduli[place]):
                return OpeningStage.create(self.run, record, candidate)
        return OpeningStage.create(self.run, record, None)
