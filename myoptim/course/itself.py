"""What a class is held to where its rule has no name: its own rule, as its other runs show it.

Whoever gets the rule wrong can still get parameter groups right. So every run of the contract is
compared with runs of the same class: each parameter alone, with its own settings and the gradients
that it was given. A parameter does the same in company, when its gradients come by another way, and
after a checkpoint.
"""

from collections.abc import Mapping

from myoptim.course.diagnosis import Divergence, close
from myoptim.course.exercise import Probe, Record, described
from myoptim.course.probes import JOINED_AFTER, Bank

Path = list[list[float] | None]
"""After each step, a parameter's values; None where they are not known."""


class Itself:
    """The records of one class, as what the class is compared with.

    Args:
        records: by the name of the probe.
        bank: the probes.
    """

    def __init__(self, records: Mapping[str, Record], bank: Bank) -> None:
        self.records = records
        self.bank = bank
        self.independent = self._first_unlike(bank.together) is None
        """Whether a parameter moves in company as it does alone."""

    def unlike(self, probe: Probe) -> Divergence | str | None:
        """Where a run of the contract does not follow the class's own rule; None if it does."""
        found = self._first_unlike(probe)
        if found is None and probe.kind == "changed lr":
            return self._unchanged(probe)
        return found

    def _first_unlike(self, probe: Probe) -> Divergence | str | None:
        record = self.records[probe.name]
        paths = [self._path(probe, index) for index in range(len(probe.schedule.starts))]
        for step, row in enumerate(record.steps):
            for index, values in enumerate(row):
                expected = paths[index][step] or values
                for element, (value, should) in enumerate(zip(values, expected, strict=True), 1):
                    if not close(value, should):
                        return Divergence(probe.name, step + 1, index + 1, element, value, should)
        known = len(record.steps) < len(paths[0]) and paths[0][len(record.steps)] is not None
        return described(record.error) if record.error is not None and known else None

    def _path(self, probe: Probe, index: int) -> Path:
        """What a parameter should do in a probe, by what it does in others."""
        schedule = probe.schedule
        joined = JOINED_AFTER if probe.kind == "added group" and index else 0
        alone = iter(self._own_steps(probe, index))
        values: list[float] | None = schedule.starts[index].reshape(-1).tolist()
        path: Path = []
        for step, row in enumerate(schedule.gradients):
            if step >= joined and row[index] is not None:
                values = next(alone, None)
            path.append(values if schedule.lr_factors[step] == 1.0 else None)
        return path

    def _own_steps(self, probe: Probe, index: int) -> list[list[float]]:
        """A parameter's values in the run that shows the rule: alone, or else in company."""
        if probe is self.bank.together or self.independent:
            alone = self.records.get(self.bank.alone[probe.name][index].name)
            return [row[0] for row in alone.steps] if alone else []
        usual = self.bank.together
        varied = probe.schedule.gradients is not usual.schedule.gradients or probe.second
        return [] if varied else [row[index] for row in self.records[usual.name].steps]

    def _unchanged(self, probe: Probe) -> str | None:
        """What is wrong if the first step with another lr is the one that the old lr gives."""
        step = probe.schedule.lr_factors.index(next(f for f in probe.schedule.lr_factors if f != 1))
        usual = self.records[self.bank.together.name].steps
        steps = self.records[probe.name].steps
        if len(steps) <= step or len(usual) <= step:
            return None
        same = all(
            close(value, other)
            for values, others in zip(steps[step], usual[step], strict=True)
            for value, other in zip(values, others, strict=True)
        )
        return f"{probe.name}: step {step + 1} is that of the lr before" if same else None
