"""Replicate AWS SSM parameters across regions, as a reviewed plan says and nothing else.

Read `reconcile.py` first: it is the whole tool, step by step.
"""

__version__ = "0.2.0"
