# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the party keeps in files beside its database: padded parts, which are long, and secrets, which are erased."""
