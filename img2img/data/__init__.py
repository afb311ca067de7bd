"""What training reads: folders, patches, noise, pairs."""
