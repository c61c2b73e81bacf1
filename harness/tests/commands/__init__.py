"""The commands that a person sits before: they are run as a person does, on a terminal of their own."""
