"""What runs on a data folder: the state, the supervisor's address, and requests to it."""
