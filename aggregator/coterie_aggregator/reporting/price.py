# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of a job's spare rounds, for people: its promise covers them; this is what the steps cost without them."""

from __future__ import annotations

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.terms import JobTerms


def steps_epsilon(spec: JobSpec, terms: JobTerms) -> str:
    """Return ε of a job's steps if none is asked again, to four digits; a long job takes a second.

    Empty for a job without noise or without spare rounds, and where there is no bound.
    """
    if not terms.spares.rounds or spec.privacy.placement is Placement.NONE:
        return ""
    try:
        return f"{epsilon_of([each.event for each in terms.rounds], spec.privacy.exact_delta):.4g}"
    except UnsupportedMechanism:
        return ""
