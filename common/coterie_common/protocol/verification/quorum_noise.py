# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checks that the quorum of a round and its noise belong together; of queries, and again before a sum is opened."""

from __future__ import annotations

from coterie_common.errors import NoiseInsufficient, ParameterMismatch, QuorumTooSmall
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import SessionFields


def check_shares(fields: SessionFields, roster: Roster) -> None:
    """Check that a query's noise is divided into the m_r − c honest shares that its own quorum guarantees.

    Raises:
        NoiseInsufficient: into more.
        ParameterMismatch: into fewer; the terms are not those of the quorum.

    Privacy: with more, the honest shares of a release would add up to less than the agreed noise. From the roster and
        the quorum under which the sum is opened, never from the shares that the message states.
    """
    shares, noise = fields.round_quorum - roster.parameters.corruption_bound, fields.terms.noise
    if noise.placement is not Placement.DISTRIBUTED or noise.shares == shares:
        return
    words = f"noise divided by {noise.shares}; a quorum of {fields.round_quorum} guarantees {shares} honest shares"
    raise NoiseInsufficient(words) if noise.shares > shares else ParameterMismatch(words)


def check_everybody(fields: SessionFields, roster: Roster) -> None:
    """Check that a round without noise asks all members, and is released only with the replies of all.

    Raises:
        QuorumTooSmall: fewer are asked, or would be enough.

    Privacy: two exact sums of different parties differ by exact replies. All members are the one set that neither an
        aggregator nor an absent party can choose, in any round of any job.
    """
    if fields.terms.noise.placement is not Placement.NONE:
        return
    everybody = {member.party_id for member in roster.members}
    if set(fields.cohort) != everybody or fields.round_quorum != len(everybody):
        raise QuorumTooSmall(
            f"a round without noise needs the replies of all {len(everybody)} parties, this one asks "
            f"{len(fields.cohort)} and would be released with {fields.round_quorum}"
        )
