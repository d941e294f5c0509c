# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cautious policy that ``coterie-party init`` writes, with every entry explained."""

from __future__ import annotations

from typing import Final

DEFAULT_POLICY_TOML: Final = """\
# This party's policy. Jobs that fit are accepted or held, all others refused. The daemon reads this file again before
# every decision and every answer; while it cannot be used, the previous policy stays in force.

# false: jobs that fit are held until 'coterie-party approve JOB'; 'coterie-party jobs' shows what they ask.
automatic = true

# Algorithms that may be run on this party's data.
algorithms = ["decision_tree", "evaluation", "statistics"]

# Data sets that jobs may ask for; without this line, all that party.toml binds.
# allowed_datasets = ["nursery"]

# Networks that these algorithms may train. "cnn" and "mlp" are built in; any other is somebody's code, which runs on
# this party's data. It is computed in a process that holds no key, opens no connection, sees Python, its libraries and
# the folders under "code" in party.toml, changes no file and signals no other process, as far as the system enforces
# that: 'coterie-party health' reports what it does not.
networks = ["cnn", "mlp"]

# "required": jobs that need such a process (networks and linear models) are refused where the system does not confine
# it completely. "preferred": they are run anyway, and code of others may then read everything that this user can read.
confinement = "required"

# Who adds how much noise. "distributed": each party a share, the sum as much as was promised.
# "local": each party all of it, for comparison.
placements = ["distributed"]

# How replies may be sealed. "threshold": encrypted under the federation's key; enough parties open a sum together, and
# this one checks what it helps to open. "complete": masked with secrets that this party erases when the job is over;
# the sum of everybody's replies opens itself, so that this party checks the query, and nothing after its reply.
sealings = ["threshold"]

# Jobs without any noise, each by the digest of its specification, which the refusal of such a job names; it runs
# once, with all parties of the federation. Their results are exact: nothing is promised to the people in the data any
# more, and after such a job no other fits the budget of its data set.
jobs_without_noise = []

# Most privacy that one job may cost, and most rounds that it may have.
epsilon_per_job = 1.0
delta_per_job = 1e-5
rounds_per_job = 100

# Fewest parties that are asked, and fewest whose replies a released sum holds. The federation has its own limits.
minimum_cohort = 3
minimum_quorum = 3

# Most privacy that all jobs together may cost, for each data set. It is never renewed.
[lifetime]
epsilon = 10.0
delta = 1e-4

# In addition, the most that they may cost within any period of this many days, for each data set; several are possible.
# [[periods]]
# days = 90
# epsilon = 2.0
# delta = 1e-5

# When jobs may start and rounds are answered, in the local time of this machine: always, or within any of these.
# Past midnight if "until" is not after "from". Sums of answered rounds may be opened at any time.
# [[hours]]
# days = ["mon", "tue", "wed", "thu", "fri"]
# from = "20:00"
# until = "06:00"

# A data set with its own budget; with its own rule for accepting or holding jobs, and its own algorithms; and with its
# own periods instead of those above.
# [datasets.nursery]
# epsilon = 4.0
# delta = 1e-5
# automatic = false
# algorithms = ["statistics"]
# [[datasets.nursery.periods]]
# days = 30
# epsilon = 1.0
# delta = 1e-5
"""
