"""What tenants may have: the limits of each, and the ledger by which they are kept."""
