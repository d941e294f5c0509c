# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The demonstration: a federation on one machine, from founding to a model in every party's folder."""
