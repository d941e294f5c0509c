# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""gRPC credentials, status codes and framing."""
