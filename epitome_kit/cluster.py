"""Past one machine: the subjects of a cohort on the workers of a Dask cluster."""

import os
from contextlib import contextmanager
from functools import partial
from threading import Lock

import epitome_kit
from epitome_kit.errors import ToolError
from epitome_kit.extras import needs

SCHEDULER = "EPITOME_SCHEDULER"
"""Environment variable with the address of a Dask scheduler, or the path of its ``.json`` file; kernels inherit it."""

_PATIENCE_S = 30
_ALONE = Lock()


@contextmanager
def scheduled_on(address):
    """Send the subjects to a Dask cluster for a while; nothing changes where `address` is None.

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


def scheduler():
    """Return the address of the scheduler; None where subjects stay on this machine."""
    return os.environ.get(SCHEDULER) or None


def map_on_cluster(function, items, address):
    """Call `function` on every item, on whatever workers the cluster has now or gets later.

    What was on a worker that died is done again by another one. An item is
    done again too when its worker died before the result was fetched:
    functions that write files look for finished ones first.

    Parameters
    ----------
    function : callable
        Importable on the workers, which have this very version of the kit.
        Called by one thread of a worker at a time.
    items : sequence
    address : str
        As in :data:`SCHEDULER`.

    Yields
    ------
    (int, object)
        Index of an item and its result, in the order in which they are done.

    Raises
    ------
    MissingExtraError
        The package ``distributed`` is not installed.
    ToolError
        Nobody answers at `address`, a worker has another version of the kit, or an item took
        every worker down that it was given to.
    """
    with needs("cluster", otherwise="work on this machine: leave `--scheduler` out"):
        from distributed import Client, KilledWorker, as_completed
    try:
        client = Client(_resolve(address), timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _failed(
            "a Dask scheduler that answers",
            f"{SCHEDULER}={address} ({' '.join(str(error).split())[:120] or type(error).__name__})",
            "give the address that the scheduler prints, such as `tcp://10.0.0.5:8786`",
        ) from error
    with client:
        call = partial(_on_worker, function=function, version=epitome_kit.__version__)
        futures = client.map(call, items, pure=False)
        places = {future.key: index for index, future in enumerate(futures)}
        arriving = as_completed(futures, loop=client.loop, with_results=True)
        del futures  # a result that was fetched is forgotten by the scheduler
        try:
            for future, result in arriving:
                yield places[future.key], result
        except KilledWorker as error:
            raise _failed(
                "workers that live through every item",
                f"{' '.join(str(error).split())[:200]}",
                "give each worker more memory; what is finished is kept",
            ) from error


def _resolve(address):
    """Read the address in the file of a scheduler: Dask itself would wait for a missing one for ever."""
    from epitome_kit.files import read_json

    return read_json(address)["address"] if address.endswith(".json") else address


def _on_worker(item, *, function, version):
    """Do one item on a worker: one at a time, for pictures are not drawn by two threads at once."""
    if epitome_kit.__version__ != version:
        raise _failed(
            f"epitome-kit {version} on every worker, as here",
            epitome_kit.__version__,
            "start the workers from the same environment as this session",
        )
    with _ALONE:
        return function(item)


def _failed(expected, received, hint):
    return ToolError("cluster", expected, received, hint)
