"""What pyproject.toml cannot say: the editors' plugins lie outside the packages, and go into the wheel all the same."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PLUGINS = ("krita_plugin", "gimp_plugin")


class BuildWithPlugins(build_py):
    """Copies the plugins to where pentimento.plugins.bundle looks first; a checkout has them beside the package."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for name in PLUGINS:
                goal = Path(self.build_lib) / "pentimento" / "plugins" / "sources" / name
                # What an earlier build left is not in this one.
                shutil.rmtree(str(goal), ignore_errors=True)
                shutil.copytree(name, str(goal), ignore=shutil.ignore_patterns("__pycache__", "vendor"))


setup(cmdclass={"build_py": BuildWithPlugins})
