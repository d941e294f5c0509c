# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party daemon: own data, own key share, own policy, own privacy ledger."""
