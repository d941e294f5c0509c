# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What releases cost: losses, divergences, calibration and the lifetime filter."""
