# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steward's policy, and the decision on a job that follows from it."""
