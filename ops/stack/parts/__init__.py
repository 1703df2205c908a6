"""The parts: how each is started, where it keeps its data, where it listens."""
