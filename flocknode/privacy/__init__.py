"""What happens to a delta before it leaves: clipping, quantising, masking."""
