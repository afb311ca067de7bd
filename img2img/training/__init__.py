"""The one training loop; knows no task."""
