"""Processes of a command: found by a variable of their environment, or as children of those that have it."""

import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress

import psutil
from tiny import ROOT

_MARK = "EPITOME_TEST_MARK"


class Command:
    """A Python program and all the processes that it starts."""

    def __init__(self, code, *arguments, tmp, **options):
        self.mark, self.printed, self.seen = uuid.uuid4().hex, None, set()
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp), _MARK: self.mark}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )

    @property
    def numbers(self):
        """Numbers of all processes seen so far."""
        return {process.pid for process in self.seen}

    def running(self):
        """Command lines of the processes that still run."""
        found = []
        for process in self._processes():
            try:
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found

    def _processes(self):
        """Processes with the mark, and their children, which may have no environment; also those seen before."""
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self.mark:
                    self.seen |= {process, *process.children(recursive=True)}
            except psutil.Error:
                continue
        return [process for process in self.seen if process.is_running()]

    def wait_for(self, *parts, seconds=300):
        """Wait until a process of the command has each part in its command line; the command must not end before."""
        last = time.monotonic() + seconds
        while not all(any(part in line for line in self.running()) for part in parts):
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < last, self.running()
            time.sleep(0.1)

    def left_after(self, seconds):
        """Processes that run on for so long; none as soon as all have ended."""
        last = time.monotonic() + seconds
        while (left := self.running()) and time.monotonic() < last:
            self.process.poll()
            time.sleep(0.05)
        return left

    def end(self):
        """Kill what is left, and return what the command printed."""
        for process in self._processes():
            with suppress(psutil.Error):
                process.kill()
        if self.printed is None:
            self.printed = self.process.communicate()[0]
        return self.printed
