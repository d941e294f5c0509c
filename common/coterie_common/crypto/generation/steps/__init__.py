# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steps of a generation at one holder: each a frozen record that turns what all holders sent into the next one."""
