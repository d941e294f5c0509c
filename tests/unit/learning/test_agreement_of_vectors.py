# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import tomllib
from decimal import Decimal

import pytest

from coterie_common.errors import InvalidJob
from coterie_common.learning.agreement import plan_job
from coterie_common.protocol.job_spec import JobSpec

JOB = """
name = "severity"
algorithm = "logistic_regression"
dataset = "patients"

[config]
rounds = 3
records = 900
clip_norm = 0.5
learning_rate = 0.1

[privacy]
epsilon = 1
delta = 1e-5

[schema]
label = "ill"
max_records = 1000

[[schema.columns]]
name = "age"
lower = 0
upper = 120

[[schema.columns]]
name = "ill"
levels = ["no", "yes"]
"""


def test_plan_job_of_real_vectors_is_refused_in_words() -> None:
    spec = JobSpec.from_table(tomllib.loads(JOB, parse_float=Decimal))
    with pytest.raises(InvalidJob, match="cannot be sealed yet"):
        plan_job(spec)
