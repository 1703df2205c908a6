"""Drills: what clients, sellers and operators see while a part hangs, a disk is full or a client is expensive."""
