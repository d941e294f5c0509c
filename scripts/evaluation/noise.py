# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The noise ledger: how wide the noise in a released sum is, measured over many rounds, against the formula.

In units of the σ that calibration chose for the job: √(contributors/h) for distributed noise, √contributors for local,
1 for a trusted curator's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from coterie.simulation.job import SimulatedRound, Simulation
from coterie.simulation.method import Method
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.schema import parse_schema
from coterie_common.privacy.noise import Mechanism
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters

COLUMNS, LEVELS, RECORDS = 4, 500, 20
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Setting:
    """A federation whose noise is measured.

    Attributes:
        method: distributed, local or curator.
        parties: n.
        corruption_bound: c.
        contributors: of every round, from the quorum to n.
        mechanism: of the noise.
    """

    method: Method
    parties: int
    corruption_bound: int
    contributors: int
    mechanism: Mechanism = Mechanism.DISCRETE_GAUSSIAN


@dataclass(frozen=True)
class Measurement:
    """Standard deviation of the noise in a released value, in units of the guaranteed σ.

    Attributes:
        setting: what was measured.
        shares: h, the honest noise shares that are guaranteed.
        predicted: by the formula.
        measured: over ``values`` released values.
        low, high: of the interval in which the true one lies with 95 % confidence; by χ², so for Gaussian noise only.
        values: how many noise values.
    """

    setting: Setting
    shares: int
    predicted: float
    measured: float
    low: float
    high: float
    values: int


def counting_job(setting: Setting) -> JobSpec:
    """Return a job whose one round asks thousands of counts."""
    levels = [str(level) for level in range(LEVELS)]
    columns = [{"name": f"x{number}", "levels": levels} for number in range(COLUMNS)]
    laplace = setting.mechanism is Mechanism.DISCRETE_LAPLACE
    return JobSpec.from_table(
        {
            "name": "noise-ledger",
            "algorithm": "statistics",
            "dataset": "numbers",
            "config": {"histograms": [column["name"] for column in columns]},
            "privacy": {
                "epsilon": "0.5",
                "delta": "0" if laplace else "0.00001",
                "mechanism": setting.mechanism.value,
                "placement": "distributed" if setting.method is Method.CURATOR else setting.method.value,
            },
            "schema": {"max_records": 1000, "columns": columns},
        }
    )


def measure(setting: Setting, rounds: int, seed: int = 0) -> Measurement:
    """Run the job ``rounds`` times and measure what its releases differ by from the exact counts."""
    parameters = choose_parameters(setting.parties, corruption_bound=setting.corruption_bound)
    simulation = Simulation(counting_job(setting), parameters, curator=setting.method is Method.CURATOR)
    random = SeededRandom(f"noise/{setting}/{seed}")
    parties = [_records(simulation, random) for _ in range(setting.contributors)]
    noise: list[npt.NDArray[np.float64]] = []

    def compare(done: SimulatedRound) -> None:
        exact = np.sum(done.replies, axis=0) / 2**done.terms.encoding.scale_bits
        noise.append(done.release.values - exact)

    for _ in range(rounds):
        simulation.run(parties, random, watch=compare)
    shares = parameters.honest_shares(parameters.quorum)
    sigma = _sigma(simulation)
    values = sum(map(len, noise))
    measured = math.sqrt(float(np.square(np.concatenate(noise)).mean())) / sigma
    above, below = (float(chi2.ppf((1 + sign * CONFIDENCE) / 2, values)) for sign in (1, -1))
    return Measurement(
        setting=setting,
        shares=shares,
        predicted=predicted(setting, shares),
        measured=measured,
        low=measured * math.sqrt(values / above),
        high=measured * math.sqrt(values / below),
        values=values,
    )


def predicted(setting: Setting, shares: int) -> float:
    """Return the ratio that the design promises."""
    if setting.method is Method.CURATOR:
        return 1.0
    return math.sqrt(setting.contributors / (shares if setting.method is Method.DISTRIBUTED else 1))


def _sigma(simulation: Simulation) -> float:
    """Return the standard deviation of the guaranteed noise, from its parameter alone, in the values' own unit."""
    terms = simulation.terms.rounds[0]
    if terms.noise.variance is not None:
        sigma: float = math.sqrt(terms.noise.variance)
    else:
        ratio = float(terms.noise.ratio or 0)
        sigma = math.sqrt(2 * math.exp(-ratio)) / -math.expm1(-ratio)
    result: float = sigma / 2**terms.encoding.scale_bits
    return result


def _records(simulation: Simulation, random: SeededRandom) -> Dataset:
    schema = parse_schema(simulation.job.spec.schema)
    return Dataset(
        schema,
        {
            column.name: (np.frombuffer(random.token_bytes(8 * RECORDS), "<u8") % LEVELS).astype(np.int32)
            for column in schema.columns
        },
        RECORDS,
    )
