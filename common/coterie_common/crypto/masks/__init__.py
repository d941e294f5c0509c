# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Masks that cancel in the sum of a whole cohort: a hybrid key exchange, pair secrets and keystreams."""
