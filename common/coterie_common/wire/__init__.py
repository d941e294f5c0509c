# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converters between protobuf messages and protocol values; the only code that sees protobuf."""
