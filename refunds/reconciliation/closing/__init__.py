"""Closing a period: its roll-forward by two ways, what stands in the way, the manifest, the lock and the way back."""
