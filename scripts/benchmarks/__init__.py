# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What ``scripts/bench`` runs: how long sealing, adding and opening take, and what a whole round costs."""
