# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Attacks on finished models and on an aggregator's view: the leaks of other systems, and the remainder in this one."""
