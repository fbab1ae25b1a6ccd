"""Teaching with optimizers: check a student's optimizer, and say what is wrong with it by name.

Read in this order: `solutions/` (one right submission per optimizer), `mistakes.py` (the catalogue:
each mistake is a small edit of a solution), `exercise.py` and `probes.py` (what a submission is put
through), `diagnosis.py` (which mistake explains a trace), `sandbox.py` with `child.py` (the process
that holds a student's code), then `check.py`, `grade.py` and `kit.py` for the commands.
"""
