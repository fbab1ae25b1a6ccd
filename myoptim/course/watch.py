"""See whether a process is idle, without a clock. Imports the standard library only."""

from pathlib import Path

GLANCE_SECONDS = 0.1
"""How long to wait, at least, between two looks."""


class Watch:
    """For how many looks a process has been idle, in seconds, by what Linux shows of it.

    One that waits for a processor is not idle: it does not lose anything by waiting, however long.
    """

    def __init__(self, pid: int) -> None:
        self.stat = Path(f"/proc/{pid}/stat")
        self.asleep = self.idle = 0.0
        self.before: list[str] | None = None

    def look(self) -> None:
        """Count this look, if the process is idle, and asleep since the last one."""
        seen = self._seen()
        if seen[0] in ("S", "T", "t") and seen == self.before:
            self.asleep += GLANCE_SECONDS
        if seen[0] != "R":
            self.idle += GLANCE_SECONDS
        self.before = seen

    def _seen(self) -> list[str]:
        """State and processor time; where there is no Linux to show them, a state of our own."""
        try:
            fields = self.stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ["unseen"]
        return [fields[0], *fields[11:13]]
