"""Tests of claudy, each folder with what it needs: nothing, a terminal, or a real engine."""
