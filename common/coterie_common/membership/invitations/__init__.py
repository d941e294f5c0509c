# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Invitations: one-time tokens, the requests that come with them, and the phrases that people compare."""
