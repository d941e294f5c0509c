# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Generated from ``protos/`` by ``scripts/generate-protos``; only ``coterie_common.wire`` imports it, and gRPC services."""
