"""Paired statistics over runs; numpy and scipy only."""
