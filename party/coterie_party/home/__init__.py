# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's folder: configuration, memberships and keys."""
