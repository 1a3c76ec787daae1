"""A finished cell in the format of another library, and the proof that it still says the same."""
