# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the aggregator, the parties and people's tools share."""
