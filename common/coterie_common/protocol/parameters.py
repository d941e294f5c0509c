# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The parameters that a federation is founded with, checked together in one place.

With n parties, decryption threshold t, corruption bound c and quorum m:

- confidentiality: t ≥ c + 1 and c ≥ 1 (a party that merely looks knows its own noise share);
- liveness: with f parties down, n − f ≥ t and n − f ≥ m, so both are at most n;
- one release per round even against a malicious aggregator: 2t > n + c, so that two sets of t parties share one that is
  honest. Given up only by naming the aggregator honest but curious;
- noise: m − c ≥ 2, so that every release hides a reply behind at least one other and holds honest noise.

Invariant: no ``FederationParameters`` exists that violates one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from coterie_common.errors import ConfigurationError, MalformedMessage, QuorumTooSmall
from coterie_common.fields import Fields
from coterie_common.limits import MAX_PARTIES, MIN_PARTIES

MIN_HONEST_SHARES = 2
"""One honest reply alone in a sum would be opened unchanged, except for its noise."""


class AggregatorTrust(StrEnum):
    """The assumption about the aggregator's behaviour."""

    MALICIOUS = "malicious"
    HONEST_BUT_CURIOUS = "honest-but-curious"


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationParameters:
    """Parameters of a federation; the constructor refuses inconsistent ones.

    Attributes:
        parties: n, from 3 to 200.
        decryption_threshold: t, partial decryptions needed to open a sum.
        corruption_bound: c, maximum number of roster members that an adversary may control.
        quorum: m, minimum number of contributors of a release.
        aggregator_trust: the assumption about the aggregator.

    Raises:
        ConfigurationError: a condition above is violated; the message names it, with the numbers.
    """

    parties: int
    decryption_threshold: int
    corruption_bound: int
    quorum: int
    aggregator_trust: AggregatorTrust = AggregatorTrust.MALICIOUS

    def __post_init__(self) -> None:
        n, t, c, m = self.parties, self.decryption_threshold, self.corruption_bound, self.quorum
        if not MIN_PARTIES <= n <= MAX_PARTIES:
            raise ConfigurationError(f"a federation has {MIN_PARTIES} to {MAX_PARTIES} parties, not {n}")
        if c < 1:
            raise ConfigurationError(
                f"the corruption bound must be at least 1, not {c}: a party that merely looks knows its own noise share"
            )
        if c > n - MIN_HONEST_SHARES:
            raise ConfigurationError(
                f"the corruption bound of {n} parties is at most {n - MIN_HONEST_SHARES}, not {c}: "
                f"{MIN_HONEST_SHARES} honest replies must hide each other"
            )
        if not c + 1 <= t <= n:
            raise ConfigurationError(
                f"the decryption threshold must be from {c + 1} (the corruption bound and one more, "
                f"else {c} colluding parties open a reply) to {n} (all parties), not {t}"
            )
        if not c + MIN_HONEST_SHARES <= m <= n:
            raise ConfigurationError(
                f"the quorum must be from {c + MIN_HONEST_SHARES} (the corruption bound and "
                f"{MIN_HONEST_SHARES} honest replies that hide each other) to {n} (all parties), not {m}"
            )
        if self.aggregator_trust is AggregatorTrust.MALICIOUS and 2 * t <= n + c:
            raise ConfigurationError(
                f"a decryption threshold of {t} is too low for {n} parties of which {c} may be corrupted: a malicious "
                f"aggregator could have two sums of one round opened; take at least {(n + c) // 2 + 1}, or declare "
                f"the aggregator {AggregatorTrust.HONEST_BUT_CURIOUS.value}"
            )

    @property
    def may_be_down(self) -> int:
        """Number of parties that may be unreachable while rounds still complete."""
        return self.parties - max(self.decryption_threshold, self.quorum)

    def honest_shares(self, round_quorum: int) -> int:
        """Return h: the number of noise shares of honest parties in every release of a round.

        Args:
            round_quorum: minimum number of contributors of this round's release, from ``quorum`` to ``parties``.

        Raises:
            QuorumTooSmall: the round quorum is outside that range.

        Privacy: computed from roster and session, never taken from a message.
        """
        if not self.quorum <= round_quorum <= self.parties:
            raise QuorumTooSmall(
                f"a round quorum of {round_quorum} is not from {self.quorum} (the federation's quorum) "
                f"to {self.parties} (all parties)"
            )
        return round_quorum - self.corruption_bound

    def explain(self) -> tuple[str, ...]:
        """Return the promises and costs of these numbers in sentences."""
        n, t, c, m = self.parties, self.decryption_threshold, self.corruption_bound, self.quorum
        down = self.may_be_down
        sentences = [
            f"Up to {c} of {n} parties may collude with each other and the aggregator "
            "without learning another party's reply.",
            f"A sum is opened by {t} of {n} parties and holds the replies of at least {m}.",
            f"Up to {down} of {n} parties may be down while rounds still complete."
            if down
            else f"All {n} parties must be up for a round to complete: no dropout is tolerated.",
            f"Every release holds at least {m - c} noise shares of honest parties.",
        ]
        if self.aggregator_trust is AggregatorTrust.MALICIOUS:
            sentences.append("Even a malicious aggregator can have only one sum of each round opened.")
        elif 2 * t > n + c:
            sentences.append(
                "The aggregator is declared honest but curious, though these numbers would also bind a malicious one."
            )
        else:
            sentences.append(
                "The aggregator is trusted to follow the protocol (honest but curious): a malicious one could have "
                "two sums of one round opened, and their difference may be one party's reply with its noise."
            )
        return tuple(sentences)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "parties": self.parties,
            "decryption_threshold": self.decryption_threshold,
            "corruption_bound": self.corruption_bound,
            "quorum": self.quorum,
            "aggregator_trust": self.aggregator_trust.value,
        }

    @classmethod
    def from_document(cls, value: Any) -> FederationParameters:
        """Parse; raises ``MalformedMessage`` for anything but the exact form of valid parameters."""
        numbers = ("parties", "decryption_threshold", "corruption_bound", "quorum")
        fields = Fields(value, "the federation's parameters", (*numbers, "aggregator_trust"))
        try:
            return cls(
                **{name: fields.integer(name, minimum=0, maximum=MAX_PARTIES) for name in numbers},
                aggregator_trust=AggregatorTrust(fields.text("aggregator_trust", longest=32)),
            )
        except (ConfigurationError, ValueError) as cause:
            raise MalformedMessage("the federation's parameters do not hold together") from cause


def choose_parameters(
    parties: int,
    *,
    corruption_bound: int | None = None,
    decryption_threshold: int | None = None,
    quorum: int | None = None,
    aggregator_trust: AggregatorTrust = AggregatorTrust.MALICIOUS,
) -> FederationParameters:
    """Fill in the numbers that the founder leaves open: c = max(1, ⌊(n−1)/3⌋); t = m = n − c if consistent, else n.

    Raises:
        ConfigurationError: no choice of the open numbers satisfies all conditions; the message names one that fails.
    """
    bound = max(1, (parties - 1) // 3) if corruption_bound is None else corruption_bound

    def filled_with(default: int) -> FederationParameters:
        return FederationParameters(
            parties=parties,
            decryption_threshold=default if decryption_threshold is None else decryption_threshold,
            corruption_bound=bound,
            quorum=default if quorum is None else quorum,
            aggregator_trust=aggregator_trust,
        )

    try:
        return filled_with(parties - bound)
    except ConfigurationError:
        return filled_with(parties)
