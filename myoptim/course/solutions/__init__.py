"""One right submission per optimizer, written as a careful student would.

`frame.py` holds what all share. They are the reference of the course, and the text of which
`myoptim.course.mistakes` makes wrong ones: a mistake replaces a few words in a solution.
"""
