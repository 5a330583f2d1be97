"""Fixtures that all tests share, from real engines on, and a limit to hanging."""

from __future__ import annotations

pytest_plugins = ["tests.engines.plugin", "tests.engines.patience"]
