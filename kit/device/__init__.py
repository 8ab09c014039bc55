"""The processor that trains: ranks, memory, precision."""
