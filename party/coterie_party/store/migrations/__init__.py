# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's schema as a chain of Alembic revisions; one that was released is never changed."""
