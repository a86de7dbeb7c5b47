"""Starts one of our programs that needs nothing but the standard library: (python, -I, -S, lean.py, MODULE, arguments...).

Python's `site` reads every .pth file of the environment before the first line of a program; with an editable
installation that alone takes as long as the smaller steps of a night. `lean("backup.stage", ...)` is `python` without it.
"""

import sys


def lean(module: str, *args: str) -> tuple[str, ...]:
    """argv that runs `main` of one of our modules, isolated, with our own folders and the standard library alone."""
    return (sys.executable, "-I", "-S", __file__, module, *args)


if __name__ == "__main__":
    from importlib import import_module

    sys.path.append(__file__.rpartition("/backup/")[0])  # last: nothing beside our folders stands before the library's
    sys.exit(import_module(sys.argv[1]).main(sys.argv[2:]))
