# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The privacy ledger inside the party's store, and its lines from elsewhere."""
