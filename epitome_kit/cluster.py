"""Process the subjects of a cohort on a Dask cluster."""

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from threading import Lock
from typing import TypeVar

import epitome_kit
from epitome_kit.errors import EpitomeWarning, ToolError
from epitome_kit.extras import needs

SCHEDULER = "EPITOME_SCHEDULER"
"""Environment variable, inherited by kernels: address of a Dask scheduler, or the path of its ``.json`` file."""

_TIMEOUT_S = 30
_LOCK = Lock()


T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def use_scheduler(address: str | None) -> Iterator[None]:
    """Use a Dask cluster inside the context; None changes nothing.

    Parameters
    ----------
    address : str or None
        As in :data:`SCHEDULER`.
    """
    before = os.environ.get(SCHEDULER)
    if address is not None:
        os.environ[SCHEDULER] = address
    try:
        yield
    finally:
        os.environ.pop(SCHEDULER, None)
        if before is not None:
            os.environ[SCHEDULER] = before


def scheduler() -> str | None:
    """Return the address of the scheduler, or None if no cluster is used."""
    return os.environ.get(SCHEDULER) or None


def map_on_cluster(function: Callable[[T], R], items: Sequence[T], address: str) -> Iterator[tuple[int, R]]:
    """Call a function on every item, on all current and future workers of a cluster.

    Items of a worker that dies are repeated by another one, even if they were finished
    but the result was not fetched; functions that write files should keep finished ones.

    Parameters
    ----------
    function : callable
        Importable on the workers, which must have the same version of the kit.
        Called by one thread of a worker at a time.
    items : sequence
        Arguments, one per call.
    address : str
        As in :data:`SCHEDULER`.

    Yields
    ------
    (int, object)
        Index of an item and its result, in the order of completion.

    Raises
    ------
    MissingExtraError
        The package ``distributed`` is not installed.
    ToolError
        Nobody answers at `address`, or not without another certificate; a worker has another
        version of the kit; or an item took every worker down that it was given to.

    Warns
    -----
    EpitomeWarning
        The cluster is not on this machine and does not use TLS.
    """
    with needs("cluster", otherwise="work on this machine: leave `--scheduler` out"):
        from distributed import Client, KilledWorker, as_completed
    gc.collect()  # a client that failed before must not be finalised while another one starts: that blocks both
    try:
        client = Client(_resolve(address), timeout=_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise _failed(
            "a Dask scheduler that responds",
            f"{SCHEDULER}={address} ({' '.join(str(error).split())[:120] or type(error).__name__})",
            "give the address that the scheduler prints, such as `tls://10.0.0.5:8786`, and use the same certificates"
            " (docs/cluster.md)",
        ) from error
    with client:
        reached = client.scheduler_info()["address"]
        if not _private(reached):
            message = f"{reached} is not encrypted: who reaches it can run code on the workers"
            warnings.warn(f"{message}; use `tls://` (docs/cluster.md)", EpitomeWarning, stacklevel=2)
        call = partial(_on_worker, function=function, version=epitome_kit.__version__)
        futures = client.map(call, items, pure=False)
        places = {future.key: index for index, future in enumerate(futures)}
        arriving = as_completed(futures, loop=client.loop, with_results=True)
        del futures  # so that the scheduler forgets results that were fetched
        try:
            for future, result in arriving:
                yield places[future.key], result
        except KilledWorker as error:
            raise _failed(
                "workers that survive every item",
                f"{' '.join(str(error).split())[:200]}",
                "give each worker more memory; finished items are kept",
            ) from error


def _resolve(address: str) -> str:
    """Read the address from a scheduler file; Dask itself would wait forever for a missing file."""
    from epitome_kit.files import read_json

    return read_json(address)["address"] if address.endswith(".json") else address


def _private(address: str) -> bool:
    """Check whether a scheduler asks for certificates, or can be reached from its own machine only."""
    with needs("cluster"):
        from distributed.comm import get_address_host, parse_address

    scheme, host = parse_address(address)[0], get_address_host(address)
    try:
        return scheme in ("tls", "wss") or ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _on_worker(item: T, *, function: Callable[[T], R], version: str) -> R:
    """Process one item on a worker, one at a time because matplotlib is not thread-safe."""
    if epitome_kit.__version__ != version:
        raise _failed(
            f"epitome-kit {version} on every worker, as here",
            epitome_kit.__version__,
            "start the workers in the same environment as this process",
        )
    with _LOCK:
        return function(item)


def _failed(expected: str, received: str, hint: str) -> ToolError:
    return ToolError("cluster", expected, received, hint)
