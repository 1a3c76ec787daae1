"""Poolers: hidden states (B, T, D) and a mask (B, T) to one vector per text, (B, P)."""
