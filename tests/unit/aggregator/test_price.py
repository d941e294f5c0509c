# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from dataclasses import replace
from fractions import Fraction

import pytest

from coterie_aggregator.reporting.price import steps_epsilon
from coterie_common.learning.agreement import plan_job, propose_terms
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.spares import NO_SPARES
from coterie_common.protocol.terms import JobTerms
from tests.support.small_jobs import statistics_spec

SPEC = statistics_spec(spare_rounds=1)


def terms_of(spec: JobSpec) -> JobTerms:
    return propose_terms(plan_job(spec), choose_parameters(5), 3070)


def test_steps_cost_what_they_cost_without_the_spare_rounds():
    terms, delta = terms_of(SPEC), SPEC.privacy.exact_delta
    alone = epsilon_of(replace(terms, spares=NO_SPARES).events, delta)
    assert float(steps_epsilon(SPEC, terms)) == pytest.approx(alone, rel=1e-3)
    assert Fraction(steps_epsilon(SPEC, terms)) < SPEC.privacy.exact_epsilon


@pytest.mark.parametrize(
    "spec",
    [statistics_spec(), statistics_spec(privacy={"placement": "none"}, spare_rounds=2)],
    ids=["no spare rounds", "no noise"],
)
def test_steps_of_a_job_whose_spare_rounds_cost_nothing_have_no_price_of_their_own(spec):
    assert steps_epsilon(spec, terms_of(spec)) == ""
