"""The README's first command, as a new user on a bare machine would run it."""
