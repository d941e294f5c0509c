# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's checks of a proposal, a model delivery and the end of a job.

A proposal has two checks: made under the roster in force (1), and signed by the aggregator (2). A model delivery and
the notice that a job has ended have one: signed by the aggregator.
"""

from __future__ import annotations

from coterie_common.errors import ParameterMismatch
from coterie_common.protocol.messages import JobEnd, JobProposal, ModelDelivery
from coterie_common.protocol.roster import Roster


def verify_proposal(proposal: JobProposal, roster: Roster) -> None:
    """Check that a job is proposed under the roster in force (1), and that the aggregator signed that (2).

    Raises:
        ParameterMismatch: another roster.
        InvalidSignature: not the aggregator's.
    """
    if proposal.roster_digest != roster.digest:
        raise ParameterMismatch("the job is proposed under another roster")
    proposal.verify(roster.aggregator.verify_key)


def verify_delivery(delivery: ModelDelivery, roster: Roster) -> None:
    """Check that the aggregator signed this model; raises ``InvalidSignature``."""
    delivery.verify(roster.aggregator.verify_key)


def verify_job_end(end: JobEnd, roster: Roster) -> None:
    """Check that the aggregator ended this job; raises ``InvalidSignature``."""
    end.verify(roster.aggregator.verify_key)
