"""The process that starts everything, looks after it and takes it along at its end."""
