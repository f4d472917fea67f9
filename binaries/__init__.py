"""Thin programs; each reads its flags and calls the library."""
