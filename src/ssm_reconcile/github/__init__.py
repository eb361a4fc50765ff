"""GitHub: its API, the workflow run, marked bodies, and the rules by which a plan counts as reviewed.

Nothing here writes to GitHub; `publishers` does.
"""
