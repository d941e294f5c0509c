# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The noise ledger: the width of the noise in a released sum, measured over many rounds, against the formula.

In units of the σ that calibration chose for the job: √(contributors/h) for distributed noise, h = m_r − c for rounds of
quorum m_r; √contributors for local noise, 1 for a trusted curator's. With all n present m_r is n; in the worst case,
after every other party was absent once, it is the federation's quorum m.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from coterie.simulation.job import SimulatedRound, Simulation
from coterie.simulation.method import Method
from coterie.simulation.seeded_random import SeededRandom
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.privacy.noise.mechanisms import Mechanism
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters

COLUMNS, LEVELS, RECORDS = 4, 500, 20
CONFIDENCE = 0.95
_COLUMNS = (
    *("noise", "mechanism", "parties", "corruption_bound", "shares", "contributors"),
    *("predicted", "measured", "low", "high", "values"),
)


@dataclass(frozen=True)
class Setting:
    """A federation whose noise is measured.

    Attributes:
        method: distributed, local or curator.
        parties: n.
        corruption_bound: c.
        contributors: of every round, from the quorum to n.
        mechanism: of the noise.
        quorum: m_r of every round; all contributors if not given.
    """

    method: Method
    parties: int
    corruption_bound: int
    contributors: int
    mechanism: Mechanism = Mechanism.DISCRETE_GAUSSIAN
    quorum: int | None = None

    @property
    def shares(self) -> int:
        """h = m_r − c, the honest noise shares that are guaranteed."""
        return (self.contributors if self.quorum is None else self.quorum) - self.corruption_bound


@dataclass(frozen=True)
class Measurement:
    """Standard deviation of the noise in a released value, in units of the guaranteed σ.

    Attributes:
        setting: the measured federation.
        shares: h, the honest noise shares that are guaranteed.
        predicted: by the formula.
        measured: over ``values`` released values.
        low, high: of the interval in which the true one lies with 95 % confidence: by χ² for Gaussian noise;
            Laplace noise has heavier tails, so √(5/2) times as wide.
        values: number of noise values.
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
    """Run the job ``rounds`` times and measure the difference of its releases from the exact counts."""
    parameters = choose_parameters(setting.parties, corruption_bound=setting.corruption_bound)
    simulation = Simulation(counting_job(setting), parameters, curator=setting.method is Method.CURATOR)
    random = SeededRandom(f"noise/{setting}/{seed}")
    parties = [_records(simulation, random) for _ in range(setting.contributors)]
    noise: list[npt.NDArray[np.float64]] = []

    def compare(done: SimulatedRound) -> None:
        exact = np.sum(done.replies, axis=0) / 2**done.terms.encoding.scale_bits
        noise.append(done.release.values - exact)

    for _ in range(rounds):
        simulation.run(parties, random, quorum=setting.quorum, watch=compare)
    sigma = _sigma(simulation)
    values = sum(map(len, noise))
    measured = math.sqrt(float(np.square(np.concatenate(noise)).mean())) / sigma
    # An estimated variance has relative variance (κ − 1)/k: kurtosis κ is 3 of Gaussian and 6 of Laplace noise. (A sum
    # of many shares of Laplace noise comes closer to 3 again.) χ² of as many degrees as Gaussian noise would need.
    degrees = values if setting.mechanism is Mechanism.DISCRETE_GAUSSIAN else values * 2 // 5
    above, below = (float(chi2.ppf((1 + sign * CONFIDENCE) / 2, degrees)) for sign in (1, -1))
    return Measurement(
        setting=setting,
        shares=setting.shares,
        predicted=predicted(setting, setting.shares),
        measured=measured,
        low=measured * math.sqrt(degrees / above),
        high=measured * math.sqrt(degrees / below),
        values=values,
    )


def settings() -> tuple[Setting, ...]:
    """Return the settings that docs/evaluation.md lists."""
    distributed = [
        # All present.
        (3, 1, 3, None),
        (5, 1, 5, None),
        (10, 3, 10, None),
        (50, 4, 50, None),
        (50, 16, 50, None),
        # Some absent from the start.
        (10, 3, 7, None),
        (50, 16, 34, None),
        # The worst case: all contribute, but the noise is divided as if only a quorum did.
        (5, 1, 5, 4),
        (10, 3, 10, 7),
        (10, 8, 10, 10),
        (20, 1, 20, 19),
        (50, 4, 50, 46),
        (50, 16, 50, 34),
    ]
    return (
        *(Setting(Method.DISTRIBUTED, n, c, present, quorum=quorum) for n, c, present, quorum in distributed),
        *(Setting(Method.DISTRIBUTED, n, c, n, Mechanism.DISCRETE_LAPLACE) for n, c in ((10, 3), (50, 16))),
        *(Setting(Method.LOCAL, n, c, n) for n, c in ((10, 3), (50, 16))),
        Setting(Method.CURATOR, 10, 3, 10),
    )


def write_ledger(path: Path, measured: Sequence[Measurement]) -> None:
    """Write measurements as they are committed."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for found in measured:
            setting = found.setting
            numbers = (f"{number:.6g}" for number in (found.predicted, found.measured, found.low, found.high))
            writer.writerow(
                [
                    *(setting.method.value, setting.mechanism.value, setting.parties, setting.corruption_bound),
                    *(found.shares, setting.contributors, *numbers, found.values),
                ]
            )


def read_ledger(path: Path) -> list[Measurement]:
    """Read what ``write_ledger`` wrote."""
    with path.open(newline="") as stream:
        return [
            Measurement(
                Setting(
                    Method(cells["noise"]),
                    int(cells["parties"]),
                    int(cells["corruption_bound"]),
                    int(cells["contributors"]),
                    Mechanism(cells["mechanism"]),
                    quorum=int(cells["shares"]) + int(cells["corruption_bound"]),
                ),
                shares=int(cells["shares"]),
                predicted=float(cells["predicted"]),
                measured=float(cells["measured"]),
                low=float(cells["low"]),
                high=float(cells["high"]),
                values=int(cells["values"]),
            )
            for cells in csv.DictReader(stream)
        ]


def predicted(setting: Setting, shares: int) -> float:
    """Return the ratio that the design promises."""
    if setting.method is Method.CURATOR:
        return 1.0
    return math.sqrt(setting.contributors / (shares if setting.method is Method.DISTRIBUTED else 1))


def _sigma(simulation: Simulation) -> float:
    """Return the standard deviation of the guaranteed noise, from its parameter alone, in the values' own unit."""
    terms = simulation.terms.rounds[0]
    variance = terms.noise.gaussian_variance
    if variance is not None:
        sigma: float = math.sqrt(variance)
    else:
        ratio = float(terms.noise.size or 0)
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
