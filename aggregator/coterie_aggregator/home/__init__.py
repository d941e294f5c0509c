# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's folder: configuration, membership and keys."""
