# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Evaluation of the method: models of this system against alternatives, its noise against the formula, attacks."""
