# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Opening the leaves of a batch, and the verdict on everybody; then the tests of the survivor.

Everything but the survivor is opened: also candidates that passed and were not taken. The survivor then has to pass
``tests`` further tests and the p − 1 check; where it fails one, its leaves are opened too, and the next batch begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from coterie_common.crypto.generation.biprimality import has_smooth_order, passes
from coterie_common.crypto.generation.candidates import FactorShares
from coterie_common.crypto.generation.leaves import LEAF_BYTES, Opening, split_leaves
from coterie_common.crypto.generation.steps.batch_record import (
    BatchRecord,
    Powers,
    decode_powers,
    make_powers,
    power_of,
)
from coterie_common.crypto.generation.steps.evidence import Evidence
from coterie_common.crypto.generation.steps.inverting import Modulus, UnitsStage
from coterie_common.crypto.generation.steps.messages import Step
from coterie_common.crypto.generation.steps.recomputation import Recomputation
from coterie_common.crypto.generation.steps.setup import AnotherBatch, Check, Draft, Received, Run, Stage


def _kept(run: Run, record: BatchRecord, survivor: int | None) -> frozenset[int]:
    """Return the positions of the leaves of one candidate."""
    if survivor is None:
        return frozenset()
    first = len(run.setup.parameters.cell_primes)
    return record.choice.of_candidate(survivor) | {first + survivor}


@dataclass(frozen=True, kw_only=True)
class OpeningStage:
    """All leaves but the survivor's."""

    step: ClassVar[Step] = Step.OPENING
    run: Run
    record: BatchRecord
    survivor: int | None

    @classmethod
    def create(cls, run: Run, record: BatchRecord, survivor: int | None) -> OpeningStage:
        """Open a batch of which one candidate or none is kept."""
        return cls(run=run, record=record, survivor=survivor)

    @property
    def draft(self) -> Draft:
        """The leaves, and the digests of the survivor's."""
        return Draft(self.record.secrets.open(_kept(self.run, self.record, self.survivor)).to_bytes())

    def proceed(self, received: Received) -> Stage:
        """Recompute everything."""
        setup, kept = self.run.setup, _kept(self.run, self.record, self.survivor)
        openings = {}
        for index, body in received.bodies().items():
            opening = Opening.from_bytes(body, setup.parameters.leaves, kept)
            if opening is None:
                setup.blame([index], "opened leaves are malformed")
            openings[index] = opening
        recomputed = Recomputation(run=self.run, record=self.record, openings=openings, closed=self.survivor)
        if setup.makes(Check.ROOTS) and (wrong := recomputed.wrong_roots()):
            setup.blame(wrong, "opened leaves are not those committed to")
        return VerdictStage.create(recomputed)


@dataclass(frozen=True, kw_only=True)
class VerdictStage:
    """Evidence against somebody's part, or none."""

    step: ClassVar[Step] = Step.VERDICT
    recomputed: Recomputation
    wrong: frozenset[int]
    evidence: Evidence | None

    @classmethod
    def create(cls, recomputed: Recomputation) -> VerdictStage:
        """Compare everything with what was sent."""
        makes = recomputed.run.setup.makes
        evidence = recomputed.evidence() if makes(Check.PARTS) else None
        wrong = frozenset(recomputed.wrong_broadcasts())
        # A copy has none of what was expanded: nobody needs it again, unless somebody deviated.
        return cls(recomputed=replace(recomputed), wrong=wrong, evidence=evidence)

    @property
    def run(self) -> Run:
        """What was agreed upon."""
        return self.recomputed.run

    @property
    def draft(self) -> Draft:
        """The evidence."""
        return Draft(b"" if self.evidence is None else self.evidence.to_bytes())

    def judge(self, received: Received) -> None:
        """Name everybody who deviated.

        Raises:
            GenerationDeviation: somebody did.
        """
        culprits, excused, accused = set[int](), set[int](), dict[int, Evidence]()
        for index, body in received.bodies().items():
            evidence = Evidence.from_bytes(body) if body else None
            if evidence is not None and self._is_proven(evidence, index):
                accused[index] = evidence
                excused.add(index)
            elif body:
                culprits.add(index)
        # A wrong part of the cells spoils everything that its recipient sends after it, parts too.
        deceived = {index for index, evidence in accused.items() if evidence.step is Step.CELLS}
        for evidence in accused.values():
            if evidence.step is Step.CELLS or evidence.sender not in deceived:
                culprits.add(evidence.sender)
        if culprits | (self.wrong - excused):
            self.run.setup.blame(culprits | (self.wrong - excused), "what was sent does not follow from opened leaves")

    def _is_proven(self, evidence: Evidence, recipient: int) -> bool:
        return self.run.setup.makes(Check.PARTS) and self.recomputed.proves(evidence, recipient)

    def proceed(self, received: Received) -> Stage | AnotherBatch:
        """Judge; then test the survivor, or begin another batch."""
        self.judge(received)
        record, survivor = self.recomputed.record, self.recomputed.closed
        if survivor is None:
            return AnotherBatch(self.run, record.secrets.number + 1)
        setup, modulus = self.run.setup, record.moduli[survivor]
        own = record.shares.reveal()[survivor]
        powers = [
            power_of(self.run, modulus, counter, setup.index, own) for counter in range(1, setup.parameters.tests + 1)
        ]
        return SurvivorCommitmentStage(
            recomputed=self.recomputed,
            survivor=survivor,
            powers=make_powers(self.run, 2 * record.secrets.number + 1, powers),
        )


@dataclass(frozen=True, kw_only=True)
class SurvivorCommitmentStage:
    """A commitment to the survivor's powers."""

    step: ClassVar[Step] = Step.TESTS_COMMITMENT
    recomputed: Recomputation
    survivor: int
    powers: Powers

    @property
    def run(self) -> Run:
        """What was agreed upon."""
        return self.recomputed.run

    @property
    def draft(self) -> Draft:
        """The commitment."""
        return self.powers.commitment(self.run)

    def proceed(self, received: Received) -> Stage:
        """Open the powers."""
        return SurvivorStage(
            recomputed=self.recomputed,
            survivor=self.survivor,
            powers=self.powers,
            commitments=received.bodies(),
        )


@dataclass(frozen=True, kw_only=True)
class SurvivorStage:
    """The survivor's powers in all further tests."""

    step: ClassVar[Step] = Step.TESTS
    recomputed: Recomputation
    survivor: int
    powers: Powers
    commitments: Mapping[int, bytes] = field(repr=False)

    @property
    def run(self) -> Run:
        """What was agreed upon."""
        return self.recomputed.run

    @property
    def draft(self) -> Draft:
        """The salt, then the powers."""
        return self.powers.opening(self.run)

    def proceed(self, received: Received) -> Stage:
        """Take the survivor if it passes all, and the p − 1 method finds nothing: otherwise who deviated is found."""
        record, count = self.recomputed.record, self.run.setup.parameters.tests
        modulus = record.moduli[self.survivor]
        opened = decode_powers(self.run, received, self.commitments, self.powers.number, (modulus,) * count)
        tests = zip(*opened.values(), strict=True)
        passed = all(passes(dict(zip(opened, values, strict=True)), modulus) for values in tests)
        if passed and not (self.run.setup.makes(Check.ORDER) and has_smooth_order(modulus)):
            shares = record.shares.reveal()[self.survivor]
            return UnitsStage.create(self.run, Modulus(value=modulus, shares=shares, chain=record.chain))
        return ClosingStage(recomputed=self.recomputed, survivor=self.survivor, powers=opened)


@dataclass(frozen=True, kw_only=True)
class ClosingStage:
    """The leaves of a survivor that did not pass."""

    step: ClassVar[Step] = Step.CLOSING
    recomputed: Recomputation
    survivor: int
    powers: Mapping[int, tuple[int, ...]] = field(repr=False)

    @property
    def run(self) -> Run:
        """What was agreed upon."""
        return self.recomputed.run

    @property
    def _kept(self) -> list[int]:
        return sorted(_kept(self.run, self.recomputed.record, self.survivor))

    @property
    def draft(self) -> Draft:
        """The leaves, in the order of their positions."""
        leaves = self.recomputed.record.secrets.leaves.split()
        return Draft(b"".join(leaves[position] for position in self._kept))

    def proceed(self, received: Received) -> Stage:
        """Recompute everything again, with nothing left out."""
        setup, kept, openings = self.run.setup, self._kept, {}
        for index, body in received.bodies().items():
            if len(body) != LEAF_BYTES * len(kept):
                setup.blame([index], "opened leaves are malformed")
            leaves = list(self.recomputed.openings[index].leaves)
            for position, leaf in zip(kept, split_leaves(body), strict=True):
                leaves[position] = leaf
            openings[index] = Opening(tuple(leaves), ())
        recomputed = Recomputation(run=self.run, record=self.recomputed.record, openings=openings, closed=None)
        if setup.makes(Check.ROOTS) and (wrong := recomputed.wrong_roots()):
            setup.blame(wrong, "opened leaves are not those committed to")
        shares = recomputed.shares_of(self.survivor)
        verdict = VerdictStage.create(recomputed)
        return ClosingVerdictStage(
            verdict=verdict,
            wrong_tests=frozenset(index for index in setup.indices if not self._has_right_tests(index, shares[index])),
        )

    def _has_right_tests(self, index: int, shares: FactorShares) -> bool:
        modulus = self.recomputed.record.moduli[self.survivor]
        return all(
            value == power_of(self.run, modulus, counter, index, shares)
            for counter, value in enumerate(self.powers[index], start=1)
        )


@dataclass(frozen=True, kw_only=True)
class ClosingVerdictStage:
    """Evidence against somebody's part of the survivor, or none."""

    step: ClassVar[Step] = Step.CLOSING_VERDICT
    verdict: VerdictStage
    wrong_tests: frozenset[int]

    @property
    def run(self) -> Run:
        """What was agreed upon."""
        return self.verdict.run

    @property
    def draft(self) -> Draft:
        """The evidence."""
        return self.verdict.draft

    def proceed(self, received: Received) -> Stage | AnotherBatch:
        """Judge; nobody deviated where the survivor was no product of two primes, and another batch begins."""
        self.verdict.judge(received)
        if self.wrong_tests:
            self.run.setup.blame(self.wrong_tests, "powers do not follow from opened leaves")
        return AnotherBatch(self.run, self.verdict.recomputed.record.secrets.number + 1)
