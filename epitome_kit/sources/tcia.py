"""Download a collection from The Cancer Imaging Archive; each series is complete and verified, or absent.

The archive has an HTTP interface (NBIA REST, version 4): ``getSeries`` lists the series
of a collection with their number of images and bytes, ``getImageWithMD5Hash`` sends one
as a zip with a checksum of each image. Zips are created while they are sent, so an
interrupted transfer cannot be resumed within a series: that series is downloaded again.
"""

import csv
import hashlib
import io
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from epitome_kit.errors import CohortError, OutputError, Reason
from epitome_kit.files import Json, PathLike, read_json, write_json
from epitome_kit.parallel import byte_bar
from epitome_kit.temporary import temporary_folder

API = "https://nbia.cancerimagingarchive.net/nbia-api/services/v4"
"""Address of the archive's interface."""

_MODALITIES = ("MR", "SEG")
_TIMEOUT_S = (20, 120)
_ATTEMPTS = 4
_FIRST_PAUSE_S = 2.0
_BLOCK = 1 << 16
_MAX_BYTES = 4 << 30
"""Size of the largest series, packed or unpacked."""
_LEDGER = "series.json"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASHES = "md5hashes.csv"


class _TransferError(Exception):
    """A transfer that did not deliver a complete series."""


def download_collection(
    collection: str, folder: PathLike, *, api: str = API, pause_s: float = _FIRST_PAUSE_S
) -> dict[str, str]:
    """Download the MR series and the segmentations of a collection.

    Series of an earlier download are kept if their number of files and bytes is unchanged.
    A transfer that fails, or delivers something else than announced, is repeated; a series
    that fails every time is reported with its patient and the reason.

    Parameters
    ----------
    collection : str
        Name in the archive, such as ``"LGG-1p19qDeletion"``.
    folder : path
        Series are saved there as ``collection/patient/study/series``.
    api : str, default=API
        Address of the archive's interface.
    pause_s : float, default=2
        Pause before the second attempt, in seconds; each further pause is twice as long.

    Returns
    -------
    dict of str to str
        Patients with a missing series, and the reason.

    Raises
    ------
    CohortError
        The archive does not respond, or offers no series of the collection.
    OutputError
        `folder` cannot be written to.
    """
    root = Path(folder) / collection
    with requests.Session() as session:
        listed = _list_series(session, api, collection, pause_s)
        missing = [series for series in listed if not _is_complete(_folder(root, series))]
        total = sum(int(series.get("FileSize") or 0) for series in missing)
        failed = {}
        try:
            root.mkdir(parents=True, exist_ok=True)
            with byte_bar(f"Downloading {len(missing)} of {len(listed)} series", total) as advance:
                for series in missing:
                    reason = _fetch(session, api, series, _folder(root, series), pause_s, advance)
                    if reason:
                        failed[series["PatientID"]] = reason
        except OSError as error:
            raise OutputError(
                "download",
                "a folder with space that can be written to",
                f"{root} ({error.strerror or error})",
                "free some space, or choose another folder; the same command resumes",
            ) from error
    return failed


def _list_series(session: requests.Session, api: str, collection: str, pause_s: float) -> list[Json]:
    """List the series to download; those with unsafe names are skipped."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            response = session.get(f"{api}/getSeries", params={"Collection": collection}, timeout=_TIMEOUT_S)
            response.raise_for_status()
            listed = response.json() if response.content.strip() else []
            break
        except (requests.RequestException, ValueError) as error:
            reason = _short(error)
    else:
        raise CohortError(
            "download",
            f"a response from {api}",
            f"{reason}, {_ATTEMPTS} times",
            "check the network, then repeat the command, which resumes",
        )
    needed = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    series = [one for one in listed if isinstance(one, dict) and one.get("Modality") in _MODALITIES]
    series = [one for one in series if all(_SAFE.fullmatch(str(one.get(name))) for name in needed)]
    if not series:
        raise CohortError(
            "download",
            f"public series of {collection}",
            f"{len(listed)} entries, no series among them",
            "head scans may need an application: request access on the page of the collection at "
            "https://www.cancerimagingarchive.net, use its Data Retriever, and import that folder without `--download`",
        )
    return sorted(series, key=lambda one: (one["PatientID"], one["SeriesInstanceUID"]))


def _folder(root: Path, series: Json) -> Path:
    return root / series["PatientID"] / series["StudyInstanceUID"] / series["SeriesInstanceUID"]


def _is_complete(folder: Path) -> bool:
    """Return whether a series is unchanged since it was verified."""
    try:
        ledger = read_json(folder / _LEDGER)
    except (OSError, ValueError):
        return False
    sizes = [path.stat().st_size for path in folder.glob("*.dcm")]
    return ledger == {"files": len(sizes), "bytes": sum(sizes)}


def _fetch(
    session: requests.Session, api: str, series: Json, folder: Path, pause_s: float, advance: Callable[[int], None]
) -> str | None:
    """Download one series into its folder; return None, or why it failed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        received = 0
        with temporary_folder(folder.parent) as aside:
            package, unpacked = Path(aside, "series.zip"), Path(aside, "series")
            try:
                for size in _transfer(session, api, series["SeriesInstanceUID"], package):
                    received += size
                    advance(size)
                    if received > _MAX_BYTES:
                        raise _TransferError(f"more than {_MAX_BYTES >> 20} MB")
                _unpack(package, unpacked, series)
            except (_TransferError, requests.RequestException, zipfile.BadZipFile) as error:
                reason = _short(error)
                advance(-received)
                continue
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.replace(folder)
            return None
    return str(Reason("a whole series from the archive", f"{reason}, {_ATTEMPTS} times"))


def _transfer(session: requests.Session, api: str, uid: str, package: Path) -> Iterator[int]:
    """Write the zip of one series, and yield the size of each block."""
    address = f"{api}/getImageWithMD5Hash"
    with session.get(address, params={"SeriesInstanceUID": uid}, stream=True, timeout=_TIMEOUT_S) as response:
        response.raise_for_status()
        with package.open("wb") as target:
            for block in response.iter_content(_BLOCK):
                target.write(block)
                yield len(block)


def _unpack(package: Path, folder: Path, series: Json) -> None:
    """Unpack the images of a series, and verify number, checksums and size."""
    folder.mkdir()
    sizes, sums = {}, {}
    with zipfile.ZipFile(package) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > _MAX_BYTES:
            raise _TransferError(f"a zip that claims {claimed >> 20} MB")
        stated = _stated_sums(archive)
        for entry in archive.infolist():
            name = Path(entry.filename).name
            if not name.endswith(".dcm") or not _SAFE.fullmatch(name) or name in sizes:
                continue
            digest = hashlib.md5(usedforsecurity=False)
            with archive.open(entry) as source, (folder / name).open("wb") as target:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    target.write(block)
            sizes[name], sums[name] = (folder / name).stat().st_size, digest.hexdigest()
    announced, size = int(series.get("ImageCount") or 0), int(series.get("FileSize") or 0)
    if not sizes or announced and len(sizes) != announced:
        raise _TransferError(f"{len(sizes)} of {announced or 'some'} images")
    differing = [name for name in sums if name in stated and stated[name] != sums[name]]
    if differing:
        raise _TransferError(f"another checksum for {len(differing)} of {len(sizes)} images")
    if not set(sums) <= set(stated) and size and sum(sizes.values()) != size:
        raise _TransferError(f"{sum(sizes.values())} bytes where {size} were announced")
    write_json(folder / _LEDGER, {"files": len(sizes), "bytes": sum(sizes.values())})


def _stated_sums(archive: zipfile.ZipFile) -> dict[str, str]:
    """Read the checksums sent by the archive, by name of the image."""
    if _HASHES not in archive.namelist():
        return {}
    rows = csv.reader(io.StringIO(archive.read(_HASHES).decode("utf-8", errors="replace")))
    return {Path(row[0].strip()).name: row[1].strip().lower() for row in rows if len(row) >= 2}


def _short(error: Exception) -> str:
    return f"{type(error).__name__.strip('_')}: {' '.join(str(error).split())[:120]}"
