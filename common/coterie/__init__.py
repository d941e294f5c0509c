# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""For people: found a federation, submit jobs, fetch models, predict."""
