"""From a file to pixels: the reader, the cache, near-duplicates."""
