"""Encoders: token ids to (B, T, D) hidden states."""
