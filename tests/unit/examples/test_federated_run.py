# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import tomllib

import pytest

from coterie_lab.examples import heart, mnist
from coterie_lab.examples.federated_run import sealed


@pytest.mark.parametrize("path", [mnist.JOB, *heart.JOBS.values()], ids=lambda path: path.stem)
def test_sealing_is_stated_in_a_job_that_asks_for_one_and_nothing_else_changes(path):
    job = path.read_text("utf-8")
    assert sealed(job, None) == job
    assert tomllib.loads(sealed(job, "complete")) == {"sealing": "complete", **tomllib.loads(job)}
