"""From token ids to hidden states (B, T, D)."""
