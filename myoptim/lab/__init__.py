"""Looking at optimizers: problems, traces, comparisons, races, measurements, pictures."""
