"""One folder per task, each with the same file names."""
