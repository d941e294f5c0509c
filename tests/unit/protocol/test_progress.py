# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from coterie_common.protocol.messages import JobOutcome
from coterie_common.protocol.progress import JobState


def test_job_is_final_exactly_when_it_has_an_outcome():
    assert {state.value for state in JobState if state.is_final} == {outcome.value for outcome in JobOutcome}
