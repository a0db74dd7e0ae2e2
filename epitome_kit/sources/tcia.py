"""Downloads from The Cancer Imaging Archive: a collection, series by series, each whole and checked or absent.

The archive answers over HTTP (NBIA REST, version 4): ``getSeries`` lists the series of
a collection with their number of images and bytes, ``getImageWithMD5Hash`` sends one
as a zip with a checksum of each image. A zip is made while it is sent, so a broken
transfer cannot go on in the middle: it starts again with the series that it broke in.
"""

import csv
import hashlib
import io
import re
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import requests

from epitome_kit.errors import CohortError, OutputError, Reason
from epitome_kit.files import read_json, write_json
from epitome_kit.parallel import byte_bar

API = "https://nbia.cancerimagingarchive.net/nbia-api/services/v4"
"""Where the archive answers."""

_MODALITIES = ("MR", "SEG")
_TIMEOUT_S = (20, 120)
_ATTEMPTS = 4
_FIRST_PAUSE_S = 2.0
_BLOCK = 1 << 16
_MOST_BYTES = 4 << 30
"""Of one series, packed or unpacked."""
_LEDGER = "series.json"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASHES = "md5hashes.csv"


class _Broken(Exception):
    """A transfer that did not bring a whole series."""


def download_collection(collection, folder, *, api=API, pause_s=_FIRST_PAUSE_S):
    """Download the MR series and the segmentations of a collection.

    Series that an earlier download brought are kept when their number of files and
    bytes is as it was. A transfer that breaks, or brings something else than what
    was announced, is tried again; a series that never arrives is left out by
    patient and reason.

    Parameters
    ----------
    collection : str
        Name in the archive, such as ``"LGG-1p19qDeletion"``.
    folder : path
        Where series go, as ``collection/patient/study/series``.
    api : str, default=API
        Address of the archive.
    pause_s : float, default=2
        Seconds before the second attempt; each further pause is twice as long.

    Returns
    -------
    dict of str to str
        Patient, and why a series of theirs is missing.

    Raises
    ------
    CohortError
        The archive does not answer, or has no series of that collection to give.
    OutputError
        `folder` cannot be written.
    """
    root = Path(folder) / collection
    with requests.Session() as session:
        wanted = _list_series(session, api, collection, pause_s)
        missing = [series for series in wanted if not _is_whole(_place(root, series))]
        total = sum(int(series.get("FileSize") or 0) for series in missing)
        failed = {}
        try:
            root.mkdir(parents=True, exist_ok=True)
            with byte_bar(f"Downloading {len(missing)} of {len(wanted)} series", total) as advance:
                for series in missing:
                    reason = _fetch(session, api, series, _place(root, series), pause_s, advance)
                    if reason:
                        failed[series["PatientID"]] = reason
        except OSError as error:
            raise OutputError(
                "download",
                "a folder with space that can be written to",
                f"{root} ({error.strerror or error})",
                "make room, or choose another folder; the same command goes on from there",
            ) from error
    return failed


def _list_series(session, api, collection, pause_s):
    """List the series to download, each with safe names."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            answer = session.get(f"{api}/getSeries", params={"Collection": collection}, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            listed = answer.json() if answer.content.strip() else []
            break
        except (requests.RequestException, ValueError) as error:
            reason = _short(error)
    else:
        raise CohortError(
            "download",
            f"an answer from {api}",
            f"{reason}, {_ATTEMPTS} times",
            "check the network, then give the same command again: it goes on from there",
        )
    needed = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    series = [one for one in listed if isinstance(one, dict) and one.get("Modality") in _MODALITIES]
    series = [one for one in series if all(_SAFE.fullmatch(str(one.get(name))) for name in needed)]
    if not series:
        raise CohortError(
            "download",
            f"series of {collection} that the archive gives to everybody",
            f"{len(listed)} entries, no series among them",
            "scans of heads may be given on request only: ask for access on the page of the collection at "
            "https://www.cancerimagingarchive.net, use its Data Retriever, and import that folder without `--download`",
        )
    return sorted(series, key=lambda one: (one["PatientID"], one["SeriesInstanceUID"]))


def _place(root, series):
    return root / series["PatientID"] / series["StudyInstanceUID"] / series["SeriesInstanceUID"]


def _is_whole(place):
    """Tell whether a series is there as it was when it was checked."""
    try:
        ledger = read_json(place / _LEDGER)
    except (OSError, ValueError):
        return False
    sizes = [path.stat().st_size for path in place.glob("*.dcm")]
    return ledger == {"files": len(sizes), "bytes": sum(sizes)}


def _fetch(session, api, series, place, pause_s, advance):
    """Download one series into its place; return why it could not be had, or None."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        received = 0
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".partial-") as aside:
            package, unpacked = Path(aside, "series.zip"), Path(aside, "series")
            try:
                for size in _transfer(session, api, series["SeriesInstanceUID"], package):
                    received += size
                    advance(size)
                    if received > _MOST_BYTES:
                        raise _Broken(f"more than {_MOST_BYTES >> 20} MB")
                _unpack(package, unpacked, series)
            except (_Broken, requests.RequestException, zipfile.BadZipFile) as error:
                reason = _short(error)
                advance(-received)
                continue
            shutil.rmtree(place, ignore_errors=True)
            unpacked.replace(place)
            return None
    return str(Reason("a whole series from the archive", f"{reason}, {_ATTEMPTS} times"))


def _transfer(session, api, uid, package):
    """Write the zip of one series, and yield the size of each block."""
    address = f"{api}/getImageWithMD5Hash"
    with session.get(address, params={"SeriesInstanceUID": uid}, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        with package.open("wb") as target:
            for block in answer.iter_content(_BLOCK):
                target.write(block)
                yield len(block)


def _unpack(package, folder, series):
    """Unpack the images of a series, and check number, checksums and size."""
    folder.mkdir()
    sizes, sums = {}, {}
    with zipfile.ZipFile(package) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > _MOST_BYTES:
            raise _Broken(f"a zip that claims {claimed >> 20} MB")
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
        raise _Broken(f"{len(sizes)} of {announced or 'some'} images")
    differing = [name for name in sums if name in stated and stated[name] != sums[name]]
    if differing:
        raise _Broken(f"another checksum for {len(differing)} of {len(sizes)} images")
    if not set(sums) <= set(stated) and size and sum(sizes.values()) != size:
        raise _Broken(f"{sum(sizes.values())} bytes where {size} were announced")
    write_json(folder / _LEDGER, {"files": len(sizes), "bytes": sum(sizes.values())})


def _stated_sums(archive):
    """Read the checksums that the archive sends along, by name of the image."""
    if _HASHES not in archive.namelist():
        return {}
    rows = csv.reader(io.StringIO(archive.read(_HASHES).decode("utf-8", errors="replace")))
    return {Path(row[0].strip()).name: row[1].strip().lower() for row in rows if len(row) >= 2}


def _short(error):
    return f"{type(error).__name__.strip('_')}: {' '.join(str(error).split())[:120]}"
