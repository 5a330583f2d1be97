"""Fixtures for the tests that run claudy itself."""

from __future__ import annotations

from tests.running.fixtures import claudy, claudy_command, claudy_without_image, project, shared

__all__ = ["claudy", "claudy_command", "claudy_without_image", "project", "shared"]
