# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Recomputing what holders sent, from the leaves that they opened.

Everything of the steps from CELLS to POWERS follows from the leaves of all holders. What does not agree is either its
sender's deviation or comes from a wrong part that it got. So a holder whose broadcast is wrong is excused by
*evidence*, a wrong part with its salt, whose hash the part's sender broadcast: then that sender deviated. Nobody else
is excused.

Closed leaves, those of the survivor, are left out of every comparison.

Leaves are expanded holder by holder, and the cells of one are added to a sum before the next: those of all k would take
100 MB each at 3072 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from coterie_common.crypto.generation import cells
from coterie_common.crypto.generation.candidates import CandidateDraws, FactorShares, factor_shares, polynomials
from coterie_common.crypto.generation.cells import CellDraws, CellPart
from coterie_common.crypto.generation.leaves import Opening, context, root
from coterie_common.crypto.generation.sharing import Polynomial
from coterie_common.crypto.generation.steps.batch_record import BatchRecord, power_of
from coterie_common.crypto.generation.steps.batch_secrets import Expanded, expand
from coterie_common.crypto.generation.steps.evidence import Evidence
from coterie_common.crypto.generation.steps.messages import Step, decode_numbers, encode_numbers, width
from coterie_common.crypto.generation.steps.setup import Check, Run

_STEPS: Final = (Step.CELLS, Step.FACTORS)


@dataclass(frozen=True)
class _Made:
    """What the leaves of all holders make.

    Attributes:
        roots: of all holders, by index.
        candidates: drawn by all holders, by index.
        cells: the sums of all polynomials.
        wrong: the senders whose part of the cells does not follow from their leaves, as this holder got it.
    """

    roots: Mapping[int, bytes]
    candidates: Mapping[int, tuple[CandidateDraws, ...]] = field(repr=False)
    cells: CellDraws
    wrong: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Recomputation:
    """Everything of one batch that follows from opened leaves.

    Attributes:
        run: what was agreed upon.
        record: what the holder knows of the batch.
        openings: of all holders, by index.
        closed: the candidate whose leaves are closed, if any.
    """

    run: Run
    record: BatchRecord
    openings: Mapping[int, Opening] = field(repr=False)
    closed: int | None

    def _expand(self, index: int) -> Expanded:
        setup, opening = self.run.setup, self.openings[index]
        leaf_context = context(setup.draft_digest, self.run.nonces[index - 1], index, self.record.secrets.number)
        return expand(setup.parameters, leaf_context, list(opening.leaves), opening.closed)

    @cached_property
    def _made(self) -> _Made:
        setup, received = self.run.setup, self.record.parts[Step.CELLS]
        roots, candidates, cells, wrong = {}, {}, list[CellDraws](), set[int]()
        for index in self.openings:
            expanded = self._expand(index)
            roots[index], candidates[index] = root(expanded.digests), expanded.candidates
            cells = [CellDraws.total([*cells, expanded.cells], setup.parameters.cell_primes)]
            if index in received and not self._has_right_cells(expanded.cells, setup.index, received[index].content):
                wrong.add(index)
        return _Made(roots, candidates, cells[0], frozenset(wrong))

    @cached_property
    def _is_open(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Bool[cells]: those whose leaves are open."""
        is_open = np.ones(len(self.run.setup.parameters.cell_primes), np.bool_)
        if self.closed is not None:
            is_open[list(self.record.choice.of_candidate(self.closed))] = False
        return is_open

    @property
    def _candidates(self) -> Iterator[int]:
        return (each for each in range(self.record.choice.candidates) if each != self.closed)

    def _part(self, point: int) -> CellPart:
        """Return the part of all cells that a holder should have after CELLS, summed over all senders."""
        parameters = self.run.setup.parameters
        return self._made.cells.part(parameters, point, parameters.cell_primes)

    @cached_property
    def _shares(self) -> dict[int, tuple[FactorShares, ...]]:
        """The shares of all factors of every holder; meaningless for the closed candidate."""
        return {
            index: factor_shares(
                self.run.setup.parameters, index, self._part(index), self.record.choice, drawn
            ).reveal()
            for index, drawn in self._made.candidates.items()
        }

    def shares_of(self, candidate: int) -> dict[int, FactorShares]:
        """Return the shares of one candidate's factors, by holder."""
        return {index: shares[candidate] for index, shares in self._shares.items()}

    def wrong_roots(self) -> set[int]:
        """Return the holders whose leaves are not those that they committed to."""
        return {index for index, made in self._made.roots.items() if made != self.record.roots[index]}

    def wrong_broadcasts(self) -> set[int]:
        """Return the holders whose residues, products or powers do not follow from the leaves."""
        setup, wrong = self.run.setup, set[int]()
        if setup.makes(Check.RESIDUES):
            wrong |= self._wrong_residues()
        if setup.makes(Check.PRODUCTS):
            wrong |= self._wrong_products()
        if setup.makes(Check.POWERS):
            wrong |= self._wrong_powers()
        return wrong

    def _wrong_residues(self) -> set[int]:
        primes = self.run.setup.parameters.cell_primes
        return {
            index
            for index in self.openings
            if (self._part(index).product_share(primes) != self.record.residues[index])[self._is_open].any()
        }

    def _wrong_products(self) -> set[int]:
        parameters = self.run.setup.parameters
        modulus, wrong = parameters.product_modulus, set[int]()
        for candidate in self._candidates:
            drawn = [
                polynomials(self._shares[index][candidate], draws[candidate])
                for index, draws in self._made.candidates.items()
            ]
            totals = [Polynomial.total(of) for of in zip(*drawn, strict=True)]
            for point in parameters.indices:
                p, q, zero = (each.at(point, modulus) for each in totals)
                if (p * q + zero) % modulus != self.record.product_shares[point][candidate]:
                    wrong.add(point)
        return wrong

    def _wrong_powers(self) -> set[int]:
        wrong = set[int]()
        for place, candidate in enumerate(self.record.tested):
            if candidate == self.closed:
                continue
            modulus = self.record.moduli[candidate]
            for index in self._shares:
                if index in wrong or index == self.run.setup.index:
                    continue
                expected = power_of(self.run, modulus, 0, index, self._shares[index][candidate])
                if expected != self.record.powers[index][place]:
                    wrong.add(index)
        return wrong

    def evidence(self) -> Evidence | None:
        """Return a wrong part that this holder got, if there is one."""
        for sender, part in self.record.parts[Step.CELLS].items():
            if sender in self._made.wrong:
                return Evidence(Step.CELLS, sender, part)
        for sender, part in self.record.parts[Step.FACTORS].items():
            if not self._has_right_factors(sender, self.run.setup.index, part.content):
                return Evidence(Step.FACTORS, sender, part)
        return None

    def proves(self, evidence: Evidence, recipient: int) -> bool:
        """Return whether evidence from one holder shows that the part's sender deviated."""
        if evidence.step not in _STEPS:
            return False
        if not evidence.came_to(recipient, self.run.session_id, self.record.broadcasts[evidence.step]):
            return False
        sender, content = evidence.sender, evidence.part.content
        if evidence.step is Step.CELLS:
            return not self._has_right_cells(self._expand(sender).cells, recipient, content)
        return not self._has_right_factors(sender, recipient, content)

    def _has_right_cells(self, drawn: CellDraws, recipient: int, content: bytes) -> bool:
        parameters = self.run.setup.parameters
        primes = parameters.cell_primes
        values = cells.decode(content, primes, cells.ROWS)
        expected = drawn.part(parameters, recipient, primes).reveal()
        return values is not None and not (values != expected)[:, self._is_open].any()

    def _has_right_factors(self, sender: int, recipient: int, content: bytes) -> bool:
        modulus = self.run.setup.parameters.product_modulus
        size = width(modulus)
        # A number that is out of range makes the recipient take all as zeros, also one of the closed candidate.
        if decode_numbers(content, size, 3 * self.record.choice.candidates, modulus) is None:
            return False
        for candidate in self._candidates:
            drawn = polynomials(self._shares[sender][candidate], self._made.candidates[sender][candidate])
            expected = encode_numbers([int(each.at(recipient, modulus)) for each in drawn], size)
            if content[3 * size * candidate : 3 * size * (candidate + 1)] != expected:
                return False
        return True
