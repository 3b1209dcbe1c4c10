"""The interop suite: which calls are placed, between which programs, and what must be true of them. Standard library only."""
