"""Everything a course needs: handout, skeletons, tests; Gradescope's zip; an audit of the tests."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import myoptim
from myoptim.course import own
from myoptim.course.check import Verdict, check
from myoptim.course.exercise import constructor
from myoptim.course.mistakes import CATALOGUE, forms, load, source
from myoptim.course.probes import HYPER_PARAMETERS
from myoptim.course.sandbox import Limits
from myoptim.course.settings import STYLES, Settings, default_points, own_name, read_settings
from myoptim.lab.errors import UsageError

TEMPLATES = Path(__file__).with_name("templates")
CONFIG = "course.toml"
NEVER_SHOWS = "wd-simultaneous"
"""The one row of the catalogue that differs from the reference by rounding alone."""


def template(name: str) -> str:
    """The text of one of the kit's templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def new(folder: Path, optimizers: tuple[str, ...], own_file: Path | None = None) -> list[Path]:
    """Write a new course: course.toml, handout.md, tests, and a skeleton per optimizer.

    Args:
        own_file: with the teacher's own optimizers, already registered; a copy goes along.

    Raises:
        UsageError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{str(folder)!r} exists already; a course is written to a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        CONFIG: config(optimizers, own_file.name if own_file else ""),
        "handout.md": handout(optimizers),
        "test_optimizers.py": template("test_optimizers.py"),
    } | {f"{name.lower()}.py": skeleton(name) for name in optimizers}
    if own_file:
        if own_file.name in texts:
            raise UsageError(f"give {own_file.name} another name: the course has a file of it")
        texts[own_file.name] = own_file.read_text(encoding="utf-8")
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def config(optimizers: tuple[str, ...], own_name: str = "") -> str:
    """The text of a course.toml with everything at its default."""
    return template(CONFIG).format(
        optimizers=", ".join(map(json.dumps, optimizers)),
        own=f"own = {json.dumps(own_name)}" if own_name else '# own = "mine.py"',
        points="\n".join(f"{name} = {points:g}" for name, points in default_points().items()),
        limits="\n".join(f"{name} = {value:g}" for name, value in asdict(Limits()).items()),
    )


def has_page(optimizer: str) -> bool:
    """Whether the kit and the site have a text on an optimizer; a teacher's own has none."""
    return (TEMPLATES / f"{optimizer}.md").exists()


def handout(optimizers: tuple[str, ...]) -> str:
    """The handout: what every optimizer does, then each one's formulas."""
    common = template("handout.md").replace("{optimizers}", ", ".join(optimizers))
    return common + "".join(
        template(f"{name}.md") if has_page(name) else own.handout(name) for name in optimizers
    )


def skeleton(optimizer: str) -> str:
    """A class with the constructor written and the step left to the student."""
    cls = load(source(optimizer), optimizer)
    parameters = constructor(cls)
    names = HYPER_PARAMETERS[optimizer]
    return template("skeleton.txt").format(
        name=optimizer,
        arguments=", ".join(f"{name}={parameters[name].default!r}" for name in names),
        defaults=", ".join(f"{name}={name}" for name in names),
    )


def settings_of(folder: Path) -> Settings:
    """The settings of a course's folder.

    Raises:
        UsageError: it has no course.toml, or one that is not allowed.
    """
    return read_settings(folder / CONFIG)


def own_files(folder: Path) -> list[str]:
    """The file of the teacher's own optimizers, if the course has one, by its name in the folder.

    Raises:
        UsageError: it lies outside the folder, and could not be sent along.
    """
    name = own_name(folder / CONFIG)
    if name and not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"own must lie in the course's folder; got {name!r}")
    return [name] if name else []


def gradescope(folder: Path, output: Path) -> None:
    """Write the zip that Gradescope asks for: the course's settings, its scripts, and myoptim."""
    settings_of(folder)
    package = Path(myoptim.__file__).parent
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("setup.sh", "run_autograder"):
            script = zipfile.ZipInfo(name)
            script.external_attr = 0o755 << 16
            archive.writestr(script, template(name) if name != "setup.sh" else setup_script())
        for name in (CONFIG, *own_files(folder)):
            archive.write(folder / name, name)
        for path in sorted(package.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, Path("myoptim") / path.relative_to(package))


def setup_script() -> str:
    """What makes the machine of an autograder, in the versions that stand here."""
    versions = {name: version(name).partition("+")[0] for name in ("torch", "numpy")}
    text = template("setup.sh")
    for name, number in versions.items():
        text = text.replace(f"{name}==VERSION", f"{name}=={number}")
    return text


@dataclass(frozen=True)
class Audited:
    """What this course's tests make of one mistake in one optimizer."""

    mistake: str
    optimizer: str
    should_pass: bool
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether a mistake fails, or what should pass passes."""
        return self.verdict.passed == self.should_pass


def audit(
    settings: Settings,
    ids: Iterable[str],
    jobs: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Audited]:
    """Hand in every mistake of the catalogue, each as a submission, in every optimizer of a course.

    Dialects that the course accepts should pass, all else should fail.

    Args:
        ids: the mistakes to hand in; none stands for all.
    """
    chosen = set(ids) or set(CATALOGUE)
    rows = [
        (mistake, optimizer)
        for optimizer in settings.optimizers
        for mistake in CATALOGUE.values()
        if optimizer in mistake.optimizers and mistake.id in chosen
    ]
    found: list[Audited] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:

        def hand_in(index: int) -> Audited:
            mistake, optimizer = rows[index]
            path = Path(folder) / f"{mistake.id}_{index}.py"
            path.write_text(next(forms(mistake, optimizer)), encoding="utf-8")
            allowed = set(STYLES) - set(settings.forbid)
            should_pass = mistake.id in (*settings.accept, NEVER_SHOWS, *allowed)
            return Audited(mistake.id, optimizer, should_pass, check(path, optimizer, settings))

        for audited in pool.map(hand_in, range(len(rows))):
            found.append(audited)
            progress(len(found), len(rows))
    return found
