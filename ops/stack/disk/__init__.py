"""The disk under a data folder, and the folder itself."""
