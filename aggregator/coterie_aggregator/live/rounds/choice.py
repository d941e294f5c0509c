# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The choice of a round's arithmetic."""

from __future__ import annotations

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.rounds.arithmetic import RoundArithmetic
from coterie_aggregator.live.rounds.complete_arithmetic import CompleteArithmetic
from coterie_common.protocol.messages import Query
from coterie_common.protocol.sealing.choice import make_complete_sealing


def arithmetic_for(query: Query, context: Context) -> RoundArithmetic | CompleteArithmetic:
    """Return what a round computes with, by the sealing of its query."""
    fields, parties = query.fields, context.roster.parameters.parties
    if fields.terms.sealing.is_complete:
        return CompleteArithmetic(fields, context.roster, make_complete_sealing(fields.terms, parties))
    sealing = context.make_sealing(fields.terms, parties, context.encryptor)
    return RoundArithmetic(fields, context.roster, context.key, sealing)
