# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's record of messages received and sent, sums opened and refusals: entries, chain, export, comparison."""
