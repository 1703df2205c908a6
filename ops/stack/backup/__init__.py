"""Backups of the embedded stack: its data folder as it was at one instant, for all parts and services together."""
