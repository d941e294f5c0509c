# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The desk at which applicants hand in requests, and where they find what the founder published for them."""
