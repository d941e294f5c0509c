# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Membership: the certificate, roster and key that a member holds, and the files that carry them."""
