"""The tool: it builds a submission, runs it in a pair of virtual machines and grades it."""
