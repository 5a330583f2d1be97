"""Tests of the guard: parsers and rules alone, and everything else against a real daemon."""
