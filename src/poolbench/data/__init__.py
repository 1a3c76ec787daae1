"""Load, split and tokenize datasets, and collate examples into padded batches."""
