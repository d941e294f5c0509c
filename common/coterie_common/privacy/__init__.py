# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Exact noise shares, encoding and accounting."""
