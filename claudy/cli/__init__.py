"""The command line: the only layer that reads argv and prints. One file per command."""
