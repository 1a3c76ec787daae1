"""Tasks: what is predicted from pooled vectors, its loss and its metrics."""
