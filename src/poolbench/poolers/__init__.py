"""Poolers: (B, T, D) hidden states and a (B, T) mask to one (B, P) vector per text."""
