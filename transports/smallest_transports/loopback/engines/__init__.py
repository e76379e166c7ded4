"""Engines of the local server: `scripted` for tests, `local` for real speech."""
