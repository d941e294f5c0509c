# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator: a long-running service that never holds a key."""
