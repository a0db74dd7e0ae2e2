"""Program of a kernel: that of IPython, ended with the process that started it.

It is run by path, so that notebooks import the same copy of the kit as the process that runs them.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    from epitome_kit.extras import needs
    from epitome_kit.processes import end_with_parent

    del sys.path[0]
    end_with_parent(int(sys.argv.pop(1)))
    with needs("lab"):
        from ipykernel import kernelapp

    kernelapp.launch_new_instance()
