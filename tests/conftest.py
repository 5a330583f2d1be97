"""Fixtures that all tests share: real engines (`tests/engines/plugin.py`)."""

from __future__ import annotations

pytest_plugins = ["tests.engines.plugin"]
