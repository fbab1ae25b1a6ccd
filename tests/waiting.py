"""How long a test waits for another process or thread."""

#: Seconds. Only what hangs takes so long, so that no result depends on the load of the machine.
PATIENCE = 1800
