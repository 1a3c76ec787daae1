"""From hidden states (B, T, D) to one vector a text (B, P). This folder is the registry."""
