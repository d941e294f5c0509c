# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Code shared by the aggregator, the parties and people's tools."""
