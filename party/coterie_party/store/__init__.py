# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Durable state of a party."""
