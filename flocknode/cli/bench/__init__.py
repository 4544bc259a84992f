"""What the node's parts cost on this machine, against what they are measured by."""
