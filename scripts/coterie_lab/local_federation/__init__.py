# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A federation of real daemons on this machine, for demonstrations, benchmarks and tests."""
