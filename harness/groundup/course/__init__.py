"""The course: its chapters, what a learner is given of them, and what a learner hands in."""
