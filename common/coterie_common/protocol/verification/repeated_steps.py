# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's checks that rounds follow one another, and that steps are asked again within the spare rounds only.

An aggregator may abandon a round after it saw all replies, and pretend that somebody was absent. So a further answer to
a step is a further release to the party: it is charged, and a job has only as many as it reserved.
"""

from __future__ import annotations

from collections.abc import Mapping

from coterie_common.errors import BudgetExhausted, StaleRound
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.spares import Spares


def check_newer(fields: SessionFields, asked: Mapping[int, int]) -> None:
    """Check that a query comes after all those that this party accepted.

    Args:
        fields: of the query.
        asked: round number → plan step of the accepted queries.

    Raises:
        StaleRound: it is of an older round, or for an earlier step than the last.
    """
    if fields.round_number in asked:
        return  # the round's own state decides whether it is the same query
    last = max(asked, default=0)
    if fields.round_number < last or fields.plan_step < asked.get(last, 0):
        raise StaleRound(
            f"the query is for step {fields.plan_step} in round {fields.round_number}; this party accepted round "
            f"{last}, for step {asked[last]}"
        )


def check_spare(fields: SessionFields, asked: Mapping[int, int], spares: Spares) -> None:
    """Check that a step that this party answered before may be asked again.

    Args:
        fields: of the query.
        asked: round number → plan step of the accepted queries.
        spares: that this party accepted for the job.

    Raises:
        BudgetExhausted: no spare round is left for it.
    """
    steps = list(asked.values())
    if fields.round_number in asked or fields.plan_step not in steps:
        return
    repeated = [step for position, step in enumerate(steps) if step in steps[:position]]
    if not spares.allow(fields.plan_step, repeated):
        raise BudgetExhausted(
            f"step {fields.plan_step} was answered before, and no spare round is left for it: {len(repeated)} of "
            f"{spares.rounds} are used"
        )
