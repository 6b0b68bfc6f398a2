"""Our refunds: what we know of each, since when, and from whom."""
