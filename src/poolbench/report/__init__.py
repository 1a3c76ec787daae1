"""Reports of a study and the leaderboard over studies; never imports torch."""
