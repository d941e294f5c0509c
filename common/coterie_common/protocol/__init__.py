# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The round protocol as pure values and functions: no sockets, clocks, files or protobuf."""
