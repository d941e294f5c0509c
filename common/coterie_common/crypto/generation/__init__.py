# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A threshold key that nobody ever had: its holders make N = pq, the root exponent and their shares together.

Not yet reviewed from outside, and no command calls it yet. ``machine`` is the run of one holder, through ``steps``.
"""
