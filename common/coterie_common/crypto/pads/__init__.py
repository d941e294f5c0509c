# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The one-time pad of long vectors: ring, noise and expansion."""
