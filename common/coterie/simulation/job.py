# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One job of a whole federation in one process, without encryption and without a network.

Plan, terms, checks of asks, contributions, noise and decoding are those of the daemons. Only the sealing of replies is
left out, which does not change the sum. So a simulated release has exactly the distribution of a federation's, given
randomness of the same quality. Vectors are computed in this process, not in a separate one: an exception of an
algorithm ends the job, where a party would only stay out of the round.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial as bind
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie.simulation.division import Party, as_party
from coterie_common import arrays, document
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.errors import QuorumTooSmall
from coterie_common.learning.agreement import check_terms, plan_job, propose_terms, round_quorum
from coterie_common.learning.algorithm import Algorithm, Ask, Float32, Release
from coterie_common.learning.contribution import Contributor, computed_vectors
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.model import Lineage, Model
from coterie_common.learning.plan import Records
from coterie_common.limits import JOB_SPEC_BYTES, MODEL_BYTES, QUERY_BODY_BYTES
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters, choose_parameters
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource

_NOBODY: Final = bytes(DIGEST_BYTES)
"""Placeholder for the digests of a roster and of transcripts, which a simulation does not have."""

_PLAINTEXT_BITS: Final = 3070
"""For the default key of 3072 bits: the sealing key determines the required width of noise shares."""


@dataclass(frozen=True, eq=False, slots=True)
class SimulatedRound:
    """The trace of a round, including values that no member of a federation ever sees.

    Attributes:
        ask: as the parties saw it.
        terms: of this round, for the length of its ask.
        replies: per contributor Int64[length], the exact encoded reply, before noise.
        noise: the noise shares, Int64[length] each: one per contributor; a single one of a trusted curator.
        release: the opened sum.
    """

    ask: Ask
    terms: RoundTerms
    replies: tuple[npt.NDArray[np.int64], ...]
    noise: tuple[npt.NDArray[np.int64], ...]
    release: Release


class Simulation:
    """A job, agreed upon by a federation of given parameters; it can be run any number of times.

    Attributes:
        job: the parsed specification.
        parameters: of the federation.
        terms: of every planned round, as the aggregator proposes and every party checks them.
        epsilon: the accountant's cost of the terms at the job's δ; infinite without noise.
        is_curated: true if a trusted curator adds the noise, once.
        fewest: parties that may contribute to a round: the job's quorum.
    """

    def __init__(self, spec: JobSpec, parameters: FederationParameters, *, curator: bool = False) -> None:
        """Plan the job, propose its terms and check them.

        Args:
            spec: of the job.
            parameters: of the federation.
            curator: compare with central differential privacy: a curator trusted by all sees the exact sum and adds the
                noise once. Placement and spare rounds of the specification do not matter then.

        Raises:
            InvalidJob: the specification cannot be used.
            UnsupportedMechanism: there is no such noise.
            QuorumTooSmall: see ``round_quorum``.
        """
        self.is_curated = curator
        if curator:
            # Local noise is the whole noise in one share, as a curator adds it. Who has all records waits for nobody.
            spec = without_spare_rounds(with_privacy(spec, placement=Placement.LOCAL))
        self.job = plan_job(spec)
        self.parameters = parameters
        self.terms = propose_terms(self.job, parameters, _PLAINTEXT_BITS)
        events = check_terms(self.job, self.terms, parameters, _PLAINTEXT_BITS)
        self.epsilon = epsilon_of(events, self.job.spec.privacy.exact_delta)
        self.fewest = round_quorum(self.job.spec, parameters)
        self._most = parameters.parties

    @classmethod
    def without_privacy(cls, spec: JobSpec) -> Simulation:
        """Return the same job on exact sums, for any number of parties, including one that learns alone."""
        rounds = spec.rounds.model_copy(update={"quorum": None})
        spec = with_privacy(replace(spec, rounds=rounds), placement=Placement.NONE)
        simulation = cls(spec, choose_parameters(3))
        simulation.fewest, simulation._most = 1, 2**62
        return simulation

    def noise_stddev(self, contributors: int, quorum: int | None = None) -> tuple[float, ...]:
        """Return per planned round the standard deviation of the noise in a released value, in the value's own unit.

        Args:
            contributors: of every round.
            quorum: of every round, by which the noise is divided; all contributors if not given.
        """
        draws = 1 if self.is_curated else contributors
        shares = self._shares(contributors if quorum is None else quorum)
        return tuple(
            terms.noise.in_shares(shares).aggregate_stddev(draws) / 2**terms.encoding.scale_bits
            for terms in self.terms.rounds
        )

    def run(
        self,
        parties: Sequence[Dataset | Party],
        random: RandomSource,
        *,
        quorum: int | None = None,
        watch: Callable[[SimulatedRound], None] | None = None,
    ) -> Model:
        """Run the job.

        Args:
            parties: the contributors of every round, from the round quorum to all: those that are missing are down.
                A data set alone is a party's training records.
            random: of all parties; ``SeededRandom`` makes a run reproducible.
            quorum: m_r of every round, by which the noise is divided; all contributors if not given, as an aggregator
                asks that finds them all connected. The job's own quorum is the worst case.
            watch: called after every round.

        Returns:
            The model. Its lineage names the federation ``simulation``; digests of roster and transcripts are zeros.

        Raises:
            QuorumTooSmall: too few or too many parties, or a quorum that they do not reach.
        """
        if not self.fewest <= len(parties) <= self._most:
            raise QuorumTooSmall(f"{len(parties)} parties contribute, instead of {self.fewest} to {self._most}")
        asked = len(parties) if quorum is None else quorum
        if not self.fewest <= asked <= len(parties):
            raise QuorumTooSmall(f"a quorum of {asked} is not from {self.fewest} to {len(parties)}, who contribute")
        members = [as_party(party) if isinstance(party, Dataset) else party for party in parties]
        algorithm, config, schema = self.job.algorithm, self.job.config, self.job.schema
        state = algorithm.initial_state(config, schema)
        contributors: list[int] = []
        while (ask := algorithm.next_ask(state)) is not None:
            # As a party reads it from a query.
            ask = Ask.from_bytes(ask.round_number, ask.to_bytes(), maximum=QUERY_BODY_BYTES)
            algorithm.check_ask(config, schema, ask, self.job.plan)
            done = self._round(ask, members, random, asked)
            if watch is not None:
                watch(done)
            state = self._as_stored(algorithm.update(state, ask, done.release))
            contributors.append(done.release.contributors)
        return self._model(algorithm.finish(state), tuple(contributors))

    def _shares(self, quorum: int) -> int:
        return max(1, quorum - self.parameters.corruption_bound)

    def _round(self, ask: Ask, members: Sequence[Party], random: RandomSource, quorum: int) -> SimulatedRound:
        terms = self.terms.rounds[ask.round_number - 1].shortened(ask.length)
        if terms.noise.placement is Placement.DISTRIBUTED:
            terms = terms.in_shares(self._shares(quorum))
        replies, noise = [], []
        for number, member in enumerate(members):
            replies.append(self._reply(ask, terms, member, random))
            if number == 0 or not self.is_curated:
                noise.append(terms.noise.draw_share(ask.length, random))
        total = np.sum([*replies, *noise], axis=0)
        release = Release(
            values=terms.encoding.decode(total),
            contributors=len(members),
            noise_stddev=terms.noise.aggregate_stddev(len(noise)) / 2**terms.encoding.scale_bits,
        )
        return SimulatedRound(ask, terms, tuple(replies), tuple(noise), release)

    def _reply(self, ask: Ask, terms: RoundTerms, member: Party, random: RandomSource) -> npt.NDArray[np.int64]:
        contributor = Contributor(
            algorithm=self.job.algorithm,
            plan=self.job.plan,
            datasets=member,
            vectors=bind(_computed, self.job.algorithm, member),
            report=_warn,
        )
        return np.concatenate(tuple(contributor.exact(ask, terms.encoding, random)))

    def _as_stored(self, state: Any) -> Any:
        """Return the state that an aggregator has after a restart."""
        algorithm = self.job.algorithm
        stored = arrays.encode(*arrays.split(algorithm.state_to_document(state)))
        value = arrays.decode(stored, "the state", maximum=MODEL_BYTES).joined()
        return algorithm.state_from_document(self.job.config, self.job.schema, value)

    def _model(self, body: Any, contributors: tuple[int, ...]) -> Model:
        spec = self.job.spec
        lineage = Lineage.of_job(
            spec,
            federation="simulation",
            job_id=f"{spec.name}-simulated",
            roster_digest=_NOBODY,
            contributors=contributors,
            transcripts=(_NOBODY,) * len(contributors),
            placement="curator" if self.is_curated else None,
        )
        return Model(name=spec.name, algorithm=spec.algorithm, schema=self.job.schema, body=body, lineage=lineage)


def _computed(
    algorithm: Algorithm[Any, Any],
    member: Party,
    ask: Ask,
    records: Records,
    batch: npt.NDArray[np.bool_],
    /,
    *,
    expected: int,
) -> Iterator[Float32]:
    dataset = member[records]
    # Where all take part nothing is copied: there are many rounds, and data sets of images are large.
    for rows in computed_vectors(algorithm, ask, dataset if batch.all() else dataset.select(batch)):
        # The algorithm may keep them, so nobody writes to them.
        seen = rows.view()
        seen.flags.writeable = False
        yield seen


def _warn(unusable: int, count: int) -> None:
    # Without numbers, so that it is shown once, not in every round of every party.
    warnings.warn("vectors that are not finite count as 0", RuntimeWarning, stacklevel=2)


def without_spare_rounds(spec: JobSpec) -> JobSpec:
    """Return the same job with nothing in reserve: no step is asked again, and every round counts on the quorum."""
    return replace(spec, rounds=spec.rounds.model_copy(update={"spare_rounds": 0}))


def with_privacy(spec: JobSpec, **changes: Any) -> JobSpec:
    """Return the same job with other entries of ``[privacy]``, such as ``epsilon="0.5"``.

    Raises:
        InvalidJob: an entry is not possible.
    """
    table = document.decode(spec.to_bytes(), "the job specification", maximum=JOB_SPEC_BYTES)
    table["privacy"] |= {name: str(value) for name, value in changes.items()}
    return JobSpec.from_table(table)
