# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the steward's commands show and carry: reports, plots, ledger files and the audit folder."""
