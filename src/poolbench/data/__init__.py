"""From a named source to padded batches."""
