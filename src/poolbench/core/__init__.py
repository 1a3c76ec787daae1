"""Errors, file access, seeding, environment and shape checks; imported by every other package."""
