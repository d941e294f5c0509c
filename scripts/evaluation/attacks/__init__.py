# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Attacks on finished models and on what an aggregator sees: where others leak, and how much is left here."""
