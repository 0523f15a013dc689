"""Drawings as SVG made on the server: they read without scripts, follow the theme, and have a text twin beside them."""
