# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The coterie-party command."""
