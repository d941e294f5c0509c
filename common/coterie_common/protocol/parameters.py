# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The parameters that a federation is founded with, checked together in one place.

With n parties that contribute, k of them key holders, decryption threshold t, quorum m; of all parties at most c are
corrupted, and of the holders at most c_k:

- confidentiality: t ≥ c_k + 1 and c_k ≥ 1 (a party that merely looks knows its own noise share);
- liveness: with f parties down, k − f ≥ t and n − f ≥ m;
- one release per round even against a malicious aggregator: 2t > k + c_k, so that two sets of t holders share one that
  is honest. Given up only by naming the aggregator honest but curious;
- noise: m − c ≥ 2, so that every release hides a reply behind at least one other and holds honest noise.

Where all parties hold keys, k = n and c_k = c.

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
        key_holders: k, the parties that hold a share of the key; from 3 to n.
        decryption_threshold: t, partial decryptions needed to open a sum.
        corruption_bound: c, maximum number of roster members that an adversary may control.
        holder_corruption_bound: c_k, how many of them may be key holders.
        quorum: m, minimum number of contributors of a release.
        aggregator_trust: the assumption about the aggregator.

    Raises:
        ConfigurationError: a condition above is violated; the message names it, with the numbers.
    """

    parties: int
    key_holders: int
    decryption_threshold: int
    corruption_bound: int
    holder_corruption_bound: int
    quorum: int
    aggregator_trust: AggregatorTrust = AggregatorTrust.MALICIOUS

    def __post_init__(self) -> None:
        n, k, c, m = self.parties, self.key_holders, self.corruption_bound, self.quorum
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
        if not MIN_PARTIES <= k <= n:
            raise ConfigurationError(f"{MIN_PARTIES} to {n} (all parties) hold keys, not {k}")
        self._check_holders()
        if not c + MIN_HONEST_SHARES <= m <= n:
            raise ConfigurationError(
                f"the quorum must be from {c + MIN_HONEST_SHARES} (the corruption bound and "
                f"{MIN_HONEST_SHARES} honest replies that hide each other) to {n} (all parties), not {m}"
            )

    def _check_holders(self) -> None:
        k, t, bound = self.key_holders, self.decryption_threshold, self.holder_corruption_bound
        # The corrupted parties that hold no key are at most as many as hold none.
        fewest = max(1, self.corruption_bound - (self.parties - k))
        if not fewest <= bound <= self.corruption_bound:
            raise ConfigurationError(
                f"of {self.corruption_bound} corrupted parties, {fewest} to {self.corruption_bound} may be among the "
                f"{k} key holders, not {bound}"
            )
        if not bound + 1 <= t <= k:
            raise ConfigurationError(
                f"the decryption threshold must be from {bound + 1} (the corruption bound and one more, "
                f"else {bound} colluding parties open a reply) to {k} (all parties that hold keys), not {t}"
            )
        if self.aggregator_trust is AggregatorTrust.MALICIOUS and 2 * t <= k + bound:
            raise ConfigurationError(
                f"a decryption threshold of {t} is too low for {k} key holders of which {bound} may be corrupted: a "
                f"malicious aggregator could have two sums of one round opened; take at least {(k + bound) // 2 + 1}, "
                f"or declare the aggregator {AggregatorTrust.HONEST_BUT_CURIOUS.value}"
            )

    @property
    def may_be_down(self) -> int:
        """Number of parties that may be unreachable while rounds still complete."""
        return min(self.key_holders - self.decryption_threshold, self.parties - self.quorum)

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
        n, k, t, c, m = self.parties, self.key_holders, self.decryption_threshold, self.corruption_bound, self.quorum
        down = self.may_be_down
        among = f", of them {self.holder_corruption_bound} of the {k} key holders," if k < n else ""
        sentences = [
            f"Up to {c} of {n} parties{among} may collude with each other and the aggregator "
            "without learning another party's reply.",
            f"A sum is opened by {t} of {k} {'parties' if k == n else 'key holders'} and holds the replies of at least "
            f"{m}.",
            f"Up to {down} of {n} parties may be down while rounds still complete."
            if down
            else f"All {n} parties must be up for a round to complete: no dropout is tolerated.",
            f"Every release holds at least {m - c} noise shares of honest parties.",
        ]
        if self.aggregator_trust is AggregatorTrust.MALICIOUS:
            sentences.append("Even a malicious aggregator can have only one sum of each round opened.")
        elif 2 * t > k + self.holder_corruption_bound:
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
            "key_holders": self.key_holders,
            "decryption_threshold": self.decryption_threshold,
            "corruption_bound": self.corruption_bound,
            "holder_corruption_bound": self.holder_corruption_bound,
            "quorum": self.quorum,
            "aggregator_trust": self.aggregator_trust.value,
        }

    @classmethod
    def from_document(cls, value: Any) -> FederationParameters:
        """Parse; raises ``MalformedMessage`` for anything but the exact form of valid parameters."""
        numbers = [name for name in cls.__slots__ if name != "aggregator_trust"]
        fields = Fields(value, "the federation's parameters", cls.__slots__)
        try:
            return cls(
                **{name: fields.integer(name, minimum=0, maximum=MAX_PARTIES) for name in numbers},
                aggregator_trust=AggregatorTrust(fields.text("aggregator_trust", longest=32)),
            )
        except (ConfigurationError, ValueError) as cause:
            raise MalformedMessage("the federation's parameters do not hold together") from cause


def with_all_as_holders(former: Any) -> Any:
    """Return the document of parameters that an earlier version wrote in today's form: all parties hold keys.

    Whether it is one is for ``FederationParameters.from_document`` to find.
    """
    if not isinstance(former, dict):
        return former
    holders = {"key_holders": former.get("parties"), "holder_corruption_bound": former.get("corruption_bound")}
    return {**former, **holders}


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
            key_holders=parties,
            decryption_threshold=default if decryption_threshold is None else decryption_threshold,
            corruption_bound=bound,
            holder_corruption_bound=bound,
            quorum=default if quorum is None else quorum,
            aggregator_trust=aggregator_trust,
        )

    try:
        return filled_with(parties - bound)
    except ConfigurationError:
        return filled_with(parties)
