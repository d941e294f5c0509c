# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of every model of docs/evaluation.md in every way: lengths and rounds are those of its plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from coterie_common.learning.agreement import plan_job, propose_terms
from coterie_common.protocol.padded_part import PaddedSum, to_octets
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.sealing.choice import packing_for
from coterie_common.protocol.terms import RoundTerms, SealingKind
from coterie_lab.benchmarks.measuring import Yardstick, measure
from coterie_lab.benchmarks.peers import paillier_steps
from coterie_lab.benchmarks.primitives import WrongSum
from coterie_lab.evaluation.cost.rows import CostRow, RoundCost, Way
from coterie_lab.evaluation.cost.sealed_round import measure_sealed, vector_of
from coterie_lab.evaluation.points import FULL, Grid
from coterie_lab.evaluation.workloads import workload
from tests.support.federation import Federation, make_federation

MODELS = ("tree", "svm", "cnn")
PARTIES = 10
KEY_BITS = 2048
LONG = 100
"""Ciphertexts from which a directly sealed round takes a minute: measured once, and in a quick run not at all."""

_SEALINGS = {Way.PACKED: SealingKind.DIRECT, Way.PADDED: SealingKind.PADDED}

Show = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """The extent of the measurements.

    Attributes:
        turns: repetitions.
        naive_values: numbers that are encrypted one by one.
        is_long: whether long vectors are sealed directly too.
    """

    turns: int
    naive_values: int
    is_long: bool


FULL_EFFORT = Effort(turns=3, naive_values=200, is_long=True)
QUICK_EFFORT = Effort(turns=1, naive_values=20, is_long=False)


def measure_all(effort: Effort, show: Show) -> list[CostRow]:
    """Measure all models.

    Args:
        effort: extent of the measurements.
        show: receives messages on progress, and on parts that are left out.

    Raises:
        WrongSum: vectors did not add up in one of the ways.
    """
    yardstick = Yardstick()
    federation = make_federation(PARTIES, choose_parameters(PARTIES).decryption_threshold, KEY_BITS)
    try:
        naive = NaivePrice.measure(effort.naive_values, yardstick, effort.turns)
    except ImportError:
        naive = None
        show("cost: one ciphertext per value is left out: it needs phe, which scripts/environment dev installs")
    rows = []
    for model in MODELS:
        for terms, rounds in planned_rounds(FULL[model], federation).items():
            for way, cost in _ways(terms, federation, naive, yardstick, effort):
                show(f"cost: {model}, {terms.encoding.length} values, {way.value}")
                row = CostRow(
                    **asdict(cost),
                    model=model,
                    way=way,
                    is_chosen=_SEALINGS.get(way) is terms.sealing,
                    parties=PARTIES,
                    values=terms.encoding.length,
                    rounds=rounds,
                    yardstick_ms=0,
                )
                rows.append(row)
    return [replace(row, yardstick_ms=min(yardstick.ms)) for row in rows]


def planned_rounds(grid: Grid, federation: Federation) -> Counter[RoundTerms]:
    """Return the kinds of rounds that a model's plan has at the ε of the page, and how many of each."""
    job = plan_job(workload(grid.model, None).spec_at(grid.epsilon))
    terms = propose_terms(job, federation.parameters, federation.encryptor.public_key.plaintext_bits)
    return Counter(terms.rounds)


def _ways(
    terms: RoundTerms, federation: Federation, naive: NaivePrice | None, yardstick: Yardstick, effort: Effort
) -> Iterator[tuple[Way, RoundCost]]:
    yield Way.PLAIN, measure_plain(terms, len(federation.parties), yardstick, effort.turns)
    if naive is not None:
        yield Way.NAIVE, naive.of(terms.encoding.length, len(federation.parties))
    for way, sealing in _SEALINGS.items():
        sealed = replace(terms, sealing=sealing)
        packing = packing_for(sealed, len(federation.parties), federation.encryptor.public_key)
        is_long = packing.plaintexts > LONG
        if not is_long or effort.is_long:
            yield way, measure_sealed(federation, sealed, yardstick, 1 if is_long else effort.turns)


def measure_plain(terms: RoundTerms, parties: int, yardstick: Yardstick, turns: int) -> RoundCost:
    """Measure a round in which vectors travel in clear: nobody checks anything, and nothing has to be opened.

    Raises:
        WrongSum: the vectors did not add up.
    """
    vectors = [vector_of(terms, number) for number in range(parties)]

    def reply(number: int) -> bytes:
        return to_octets(vectors[number].astype(np.uint32))

    replies = [reply(number) for number in range(parties)]

    def add() -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        total = PaddedSum(b"", terms.encoding.length)
        for octets in replies:
            total.add(octets)
        return total.values.view(np.int32)

    if not np.array_equal(add(), np.sum(vectors, axis=0)):
        raise WrongSum(f"{parties} plain vectors of {terms.encoding.length} values did not add up")
    took = measure({"reply": lambda: reply(0), "add": add}, yardstick, turns)
    return RoundCost(
        reply_ms=min(took["reply"]),
        help_ms=0.0,
        aggregator_ms=min(took["add"]),
        helpers=0,
        reply_bytes=len(replies[0]),
        help_bytes=0,
        request_bytes=0,
    )


@dataclass(frozen=True)
class NaivePrice:
    """The cost of one value by itself; ms of one core.

    Attributes:
        encrypt_ms: at a party.
        add_ms: one ciphertext to another.
        decrypt_ms: with the whole key, at its holder.
        sent_bytes: of one ciphertext.
    """

    encrypt_ms: float
    add_ms: float
    decrypt_ms: float
    sent_bytes: int

    @classmethod
    def measure(cls, values: int, yardstick: Yardstick, turns: int) -> NaivePrice:
        """Measure the given number of values.

        Raises:
            ImportError: ``phe`` is not installed.
            WrongSum: the decrypted values are not the encrypted ones.
        """
        vector = np.cos(np.arange(values, dtype=np.float64))
        used = paillier_steps(vector, PARTIES)
        decrypted: Any = used.steps["open"]()  # a list of floats
        if not np.allclose(decrypted, vector):
            raise WrongSum(f"{values} values that were encrypted one by one were not decrypted again")
        took = {name: min(times) / values for name, times in measure(used.steps, yardstick, turns).items()}
        return cls(took["seal"], took["add"], took["open"], used.upload_bytes // values)

    def of(self, values: int, parties: int) -> RoundCost:
        """Return the cost of a round of vectors."""
        return RoundCost(
            reply_ms=values * self.encrypt_ms,
            help_ms=0.0,
            aggregator_ms=values * ((parties - 1) * self.add_ms + self.decrypt_ms),
            helpers=0,
            reply_bytes=values * self.sent_bytes,
            help_bytes=0,
            request_bytes=0,
        )
