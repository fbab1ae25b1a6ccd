"""The API reference: all modules of a package, and a check that nothing public is missing.

    .. modules:: myoptim.lab

documents every module of the package, one section each, and

    .. optimizers::

every class of `myoptim.OPTIMIZERS` by its short name, which its module then leaves out. Whatever
public name the site lacks is a warning, which fails the build. Public are the names in `__all__`,
else the classes and functions that a module defines, and their methods, without a leading
underscore. The command line is documented by its own help.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import torch
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import myoptim

LOGGER = logging.getLogger(__name__)
#: Programs, and the course's answers.
LEFT_OUT = ("myoptim.__main__", "myoptim.cli", "myoptim.course.child", "myoptim.course.solutions")


def modules(package: str) -> Iterator[ModuleType]:
    """A package and all modules in it, without those left out."""
    root = importlib.import_module(package)
    yield root
    for info in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not info.name.startswith(LEFT_OUT):
            yield importlib.import_module(info.name)


def public_names(module: ModuleType) -> Iterator[tuple[str, ...]]:
    """What a module offers, methods included; of each all full names that it goes by."""
    exported = getattr(module, "__all__", None)
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__
        is_public = name in exported if exported is not None else not name.startswith("_") and own
        if not is_public or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        places = [module.__name__]
        if vars(myoptim).get(name) is value:
            places.append("myoptim")
        yield tuple(f"{place}.{name}" for place in places)
        if inspect.isclass(value) and own:
            for method in own_methods(value):
                yield tuple(f"{place}.{name}.{method}" for place in places)


def own_methods(cls: type) -> Iterator[str]:
    """The public methods that a class's body defines, but for operators that are torch's."""
    for name, value in vars(cls).items():
        defined_here = getattr(value, "__qualname__", "") == f"{cls.__qualname__}.{name}"
        public = inspect.isfunction(value) and defined_here and not name.startswith("_")
        if public and not hasattr(torch.Tensor, name):
            yield name


def undocumented(env: BuildEnvironment) -> list[str]:
    """The public names that are not among the objects of the site."""
    documented = set(env.domains.python_domain.objects)
    return [
        names[0]
        for module in modules("myoptim")
        for names in public_names(module)
        if documented.isdisjoint(names)
    ]


class Modules(SphinxDirective):
    """A section for every module of a package."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # a module may have come
        sections: list[nodes.Node] = []
        homes = {name: cls.__module__ for name, cls in myoptim.OPTIMIZERS.items()}
        for module in modules(self.arguments[0]):
            name = module.__name__
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title(text=name)
            elsewhere = [cls for cls, home in homes.items() if home == name]
            options = [f"   :exclude-members: {', '.join(elsewhere)}"] if elsewhere else []
            content = StringList([f".. automodule:: {name}", *options], source=name)
            self.state.nested_parse(content, 0, section)
            sections.append(section)
        return sections


class Optimizers(SphinxDirective):
    """Every optimizer, as `myoptim.Adam`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # one may have come
        lines = [f".. autoclass:: myoptim.{name}" for name in myoptim.OPTIMIZERS]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source="myoptim"), 0, container)
        return container.children


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each."""
    for name in undocumented(env):
        LOGGER.warning("%s is public and not documented", name, type="reference")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("modules", Modules)
    app.add_directive("optimizers", Optimizers)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
