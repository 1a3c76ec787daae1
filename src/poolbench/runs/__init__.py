"""Identity, record and study: what a run is before and after it ran."""
