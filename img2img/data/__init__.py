"""Images from and to files, folders, and training batches."""
