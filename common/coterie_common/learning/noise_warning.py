# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A warning if a job's noise drowns its result, derived from its plan before any data is touched.

A job that keeps its promise may still be worthless: with few records, a strict ε or a large model the noise exceeds the
largest sum of the records. The plan knows both numbers. The comparison takes the best case for the job, so a warning is
never wrong by pessimism; without one a job may still learn nothing.
"""

from __future__ import annotations

import math
from typing import Final

from coterie_common.errors import DrownedInNoise
from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.algorithms.descent_config import RecordConfig
from coterie_common.learning.plan import PlannedCountRound, PlannedVectorRound, Records
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.protocol.terms import JobTerms, RoundTerms
from coterie_common.shown import counted

_LONGEST_SHARE: Final = 0.25
"""Length of the noise, relative to the longest possible sum of vectors, from which a round is drowned.

Vectors of records point in all directions, so that a real sum is several times shorter than the longest one.
"""


def noise_warning(job: PlannedJob, terms: JobTerms, parties: int) -> str:
    """Return why the noise drowns the job's result, in words with the numbers; empty if it does not.

    Args:
        job: the parsed specification.
        terms: as proposed for the federation.
        parties: of the federation; all are taken to contribute.
    """
    rounds = list(zip(job.plan.rounds, terms.rounds, strict=True))
    warnings = [_round_warning(job, planned, agreed, parties) for planned, agreed in rounds]
    drowned = [(number, words) for number, words in enumerate(warnings, start=1) if words]
    # A later round of counts asks fewer values than its plan allows: the first rounds' findings decide the number.
    is_learning = any(
        isinstance(planned, PlannedCountRound) and not words
        for (planned, _), words in zip(rounds, warnings, strict=True)
    )
    if not drowned or is_learning:
        return ""
    number, words = drowned[0]
    return f"noise drowns {len(drowned)} of {counted(len(terms.rounds), 'round')}. In round {number}, {words}"


def check_noise(job: PlannedJob, terms: JobTerms, parties: int) -> None:
    """Raise ``DrownedInNoise`` if there is a warning; arguments as in ``noise_warning``."""
    if warning := noise_warning(job, terms, parties):
        raise DrownedInNoise(
            f"{warning}; a larger ε, more records, fewer rounds or a smaller model help, or submit with --despite-noise"
        )


def _round_warning(
    job: PlannedJob, planned: PlannedCountRound | PlannedVectorRound, terms: RoundTerms, parties: int
) -> str:
    noise = terms.noise.aggregate_stddev(parties) / 2**terms.encoding.scale_bits
    maximum = job.schema.max_records * parties
    if isinstance(planned, PlannedCountRound):
        mean = maximum * planned.l0 * planned.linf / planned.length
        if noise <= mean:
            return ""
        return (
            f"a value has noise of standard deviation {noise:.3g}, but is {mean:.3g} on average even if each of the"
            f" {parties} parties has max_records = {job.schema.max_records:,} records"
        )
    if planned.records is Records.SET_ASIDE:
        return ""  # their number is unknown; the figures themselves report too few records
    is_declared = isinstance(job.config, RecordConfig)
    count = parties if job.plan.unit is Unit.PARTY else job.config.records if is_declared else maximum
    expected = float(count * (planned.sampling_rate or 1))
    longest, length = expected * float(planned.clip_norm), noise * math.sqrt(planned.length)
    if length <= _LONGEST_SHARE * longest:
        return ""
    what = "parties" if job.plan.unit is Unit.PARTY else "records"
    return (
        f"the noise in {planned.length:,} values together is {length:.3g} long; the sum over {expected:,.0f} {what} is"
        f" at most {longest:.3g} long, and usually several times shorter"
    )
