"""The comparison protocol tested on itself: on simulated poolers and on real records."""
