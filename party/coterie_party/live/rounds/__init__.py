# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The rounds of a running party: their machines, what they compute, and the tasks that compute it."""
