"""Whole reports of mistakes that people make."""
