# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Neural networks: any torch module by name, trained by DP-SGD or by federated averaging. Needs the extra ``torch``."""
