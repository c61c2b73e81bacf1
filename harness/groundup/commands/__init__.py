"""The commands of the tool, one module for each or for a few that belong together."""
