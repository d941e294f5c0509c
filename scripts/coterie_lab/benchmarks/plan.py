# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The plan of one run: lengths, sizes of federations, repetitions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coterie_lab.benchmarks.workload import KEY_BITS

HUGE_VALUES = 100_000_000

SHORT_VALUES = 10_000
"""Rounds this short show the cost that does not depend on the length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The measurements of one run.

    Attributes:
        steps: (values, parties) of single steps.
        memory: (values, parties) of processes of which the memory is measured.
        checking: (values, parties) of proofs and verifications; they depend on the parties only.
        opening: (parties, bits of the key) of opening the sum of the keys, for keys of both kinds.
        rounds: lengths of vectors of whole rounds, ascending; none if empty.
        round_parties: members of the federation that they run in.
        rounds_each: counted rounds of one job.
        jobs_each: jobs of each length, of each kind.
        repetitions: of every step up to ``few_from`` values.
        few_from: from this number of values on, three repetitions are enough.
        peers: whether other libraries are measured.
        key_bits: of the threshold key.
    """

    steps: tuple[tuple[int, int], ...]
    memory: tuple[tuple[int, int], ...]
    repetitions: int
    checking: tuple[tuple[int, int], ...] = ()
    opening: tuple[tuple[int, int], ...] = ()
    rounds: tuple[int, ...] = ()
    round_parties: int = 10
    rounds_each: int = 3
    jobs_each: int = 1
    few_from: int = 10_000_000
    peers: bool = True
    key_bits: int = KEY_BITS

    def repetitions_at(self, values: int) -> int:
        """Return the number of repetitions of the steps of one length."""
        return min(3, self.repetitions) if values >= self.few_from else self.repetitions


def whole(*, huge: bool) -> Plan:
    """Return the plan of a whole run, some minutes long."""
    lengths = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    plan = Plan(
        steps=tuple((values, parties) for parties in (3, 10, 100) for values in lengths),
        memory=((1_000_000, 10), (10_000_000, 10)),
        repetitions=9,
        checking=((1_000_000, 10), (1_000_000, 100)),
        opening=((10, 2048), (10, 3072)),
        rounds=(SHORT_VALUES, 1_000_000, 3_000_000, 10_000_000),
    )
    return _huge(plan) if huge else plan


def quick(*, huge: bool) -> Plan:
    """Return the plan of a run that ends within three minutes."""
    plan = Plan(
        steps=((1_000, 10), (100_000, 10), (1_000_000, 10), (1_000_000, 3), (1_000_000, 100)),
        memory=((1_000_000, 10), (10_000_000, 10)),
        repetitions=5,
        checking=((1_000_000, 10),),
        opening=((10, 2048), (10, 3072)),
        rounds=(SHORT_VALUES, 1_000_000, 2_000_000),
    )
    return _huge(plan) if huge else plan


def _huge(plan: Plan) -> Plan:
    # Single steps hold the vector several times over; at this length only what works piece by piece is measured.
    return replace(plan, memory=(*plan.memory, (HUGE_VALUES, 10)))
