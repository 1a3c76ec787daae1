"""What a finished cell leaves behind, and what is read from it: no torch, no lightning."""
