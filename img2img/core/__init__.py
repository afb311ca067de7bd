"""Building blocks shared by the four tasks; imports torch only."""
