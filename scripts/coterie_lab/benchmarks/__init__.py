# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The benchmarks of ``scripts/bench``: times of sealing, adding and opening, and the cost of a whole round."""
