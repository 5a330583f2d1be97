"""How fast claudy is, side by side with what it is measured against: `python -m bench`.

The command installs claudy from this tree as `install.sh` does and runs it as a user would.
Nothing here is imported by claudy, and no test depends on a time.
"""
