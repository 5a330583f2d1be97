"""Texts that are generated from the parser: completion scripts and the reference.

`words` reads the parser into plain values, one module a shell spells them out, `reference` writes
docs/reference.md. `python -m claudy.cli.shells` writes all of them into a source tree; a test
compares them with what is there. The scripts are static, so that completing a word starts no
Python: commands, options and fixed choices are in them, directories and files the shell knows.
"""
