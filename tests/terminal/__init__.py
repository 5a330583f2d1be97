"""claudy on a real terminal: keys, signals, sizes, and what is left of the terminal afterwards."""
