"""Answers as data: what a student's process writes, and what the process that judges it reads.

A file is a zip of JSON and uncompressed ``.npy`` arrays. Nothing in it is code: no pickle, no path that is
opened, and of models only classes and functions of scikit-learn that are listed here.
"""

import io
import json
import math
import os
import zipfile
from collections.abc import Iterable
from importlib import import_module
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from epitome_kit.errors import plain
from epitome_kit.files import Json

MOST_BYTES = 512 * 2**20
"""Maximum size of the file of one answer."""

_MOST_JSON = 16 * 2**20
_MOST_NAMES = 100_000
_DEEPEST = 8
_MODELS = {
    "sklearn.decomposition": ("PCA",),
    "sklearn.ensemble": ("RandomForestClassifier", "GradientBoostingClassifier"),
    "sklearn.feature_selection": (
        *("SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe", "VarianceThreshold"),
        *("f_classif", "mutual_info_classif", "chi2"),
    ),
    "sklearn.linear_model": ("LogisticRegression", "RidgeClassifier", "SGDClassifier"),
    "sklearn.naive_bayes": ("GaussianNB",),
    "sklearn.neighbors": ("KNeighborsClassifier",),
    "sklearn.pipeline": ("Pipeline",),
    "sklearn.preprocessing": ("MaxAbsScaler", "MinMaxScaler", "Normalizer", "RobustScaler", "StandardScaler"),
    "sklearn.svm": ("SVC", "LinearSVC"),
    "sklearn.tree": ("DecisionTreeClassifier",),
}
"""Models that an answer can be: those without files, code or processes of their own."""

_IMAGES = (".nii", ".nii.gz")
"""Names of files that are read where the answer is made, and never by the judge."""

_NOT_SENT = {"memory", "n_jobs", "verbose"}
"""Their parameters that are left at the default: folders and processes."""


class NotData:
    """Stand-in for an answer that cannot be sent as data.

    Attributes
    ----------
    kind : str
        Name of its type, also of the class of the stand-in.
    """

    def __new__(cls, kind: str) -> "NotData":
        """Make an instance of a class with the name of the type, which the checks report."""
        return object.__new__(type(plain(kind)[:80] or "object", (cls,), {}))


class Answer(NamedTuple):
    """What came of the code of one answer.

    Attributes
    ----------
    values : list
        Values of its variables.
    error : str
        Exception that it raised, or that a variable is not defined; empty if neither.
    """

    values: list[Any]
    error: str = ""


def write_answer(path: Path, answer: Answer) -> None:
    """Write an answer as data.

    Parameters
    ----------
    path : Path
    answer : Answer
        Values of other kinds than numbers, text, arrays, images, lists, tables of one
        column and models of scikit-learn are replaced by the name of their type.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps({"error": answer.error, "values": [_encode_any(value, arrays) for value in answer.values]})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("answer.json", text)
        for number, array in enumerate(arrays):
            with archive.open(f"{number}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def read_answer(content: bytes) -> Answer:
    """Read an answer, whoever wrote it.

    Parameters
    ----------
    content : bytes
        At most :data:`MOST_BYTES` of them.

    Returns
    -------
    Answer

    Raises
    ------
    ValueError
        They are not what :func:`write_answer` writes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            stored = all(each.compress_type == zipfile.ZIP_STORED for each in members)
            if not stored or sum(each.file_size for each in members) > len(content):
                raise ValueError("compressed, or larger than its file")
            if archive.getinfo("answer.json").file_size > _MOST_JSON:
                raise ValueError("more text than an answer can be")
            found = json.loads(archive.read("answer.json"))
            return Answer([_decode(each, archive, 0) for each in found["values"]], plain(found["error"])[:200])
    except Exception as error:  # a student's process wrote it: anything can be in it
        raise ValueError(f"no answer in it, {type(error).__name__}: {plain(error)[:160]}") from error


def _encode_any(value: Any, arrays: list[np.ndarray]) -> Json:
    try:
        return _encode(value, arrays)
    except Exception:  # an object of a student may raise anything
        return {"other": type(value).__name__}


def _encode(value: Any, arrays: list[np.ndarray], depth: int = 0) -> Json:
    if value is None:
        return {"none": None}
    if isinstance(value, (bool, np.bool_)):
        return {"bool": bool(value)}
    if isinstance(value, (int, np.integer)) and abs(int(value)) < 10**300:
        return {"int": str(int(value))}
    if isinstance(value, Real):
        return {"float": float(value).hex()}
    if isinstance(value, str) and not _is_image(value):
        return {"text": str(value)}
    if depth < _DEEPEST:
        if isinstance(value, (str, os.PathLike)) and _is_image(value):
            value = nib.load(value)
        if isinstance(value, nib.Nifti1Pair):
            header = np.frombuffer(bytes(value.header.binaryblock), np.uint8)
            parts = {"image": np.asanyarray(value.dataobj), "affine": value.affine, "header": header}
            return {name: _encode_array(part, arrays) for name, part in parts.items()}
        if isinstance(value, np.ndarray):
            return _encode_array(value, arrays)
        if hasattr(value, "get_params") and not isinstance(value, type):
            return _encode_model(value, arrays, depth)
        if callable(value) and _listed(getattr(value, "__name__", "")):
            return {"function": value.__name__}
        if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
            return {"list": [_encode(each, arrays, depth + 1) for each in islice(value, _MOST_NAMES)]}
    return {"other": type(value).__name__}


def _encode_array(array: np.ndarray, arrays: list[np.ndarray]) -> Json:
    if array.dtype.kind not in "biufcU":
        return {"array_of": array.dtype.name}
    arrays.append(array)
    return {"array": len(arrays) - 1}


def _encode_model(model: Any, arrays: list[np.ndarray], depth: int) -> Json:
    name = type(model).__name__
    if not _listed(name):
        return {"other": name}
    kept = {key: value for key, value in model.get_params(deep=False).items() if key not in _NOT_SENT}
    return {"model": name, "parameters": {key: _encode(each, arrays, depth + 1) for key, each in kept.items()}}


def _decode(item: Any, archive: zipfile.ZipFile, depth: int) -> Any:
    """Read one value; whatever is not as :func:`_encode` writes it raises one of the errors that the caller knows."""
    if depth > 2 * _DEEPEST:
        raise ValueError("nested too deeply")
    kind, content = next(iter(item.items()))
    match kind:
        case "none":
            return None
        case "bool":
            return bool(content)
        case "int":
            return int(content)
        case "float":
            return float.fromhex(content)
        case "text":
            return NotData("str") if str(content).endswith(_IMAGES) else str(content)
        case "list":
            return [_decode(each, archive, depth + 1) for each in content]
        case "array":
            return _read_array(archive, int(content))
        case "array_of":
            return np.zeros(1, dtype=object)
        case "image":
            return _read_image(item, archive, depth)
        case "function":
            return _listed(content)
        case "model":
            given = {str(key): _decode(each, archive, depth + 1) for key, each in item["parameters"].items()}
            return _make_model(content, given)
        case "other":
            return NotData(str(content))
    raise ValueError(f"a value of an unknown kind, {plain(kind)[:40]}")


def _read_array(archive: zipfile.ZipFile, number: int) -> np.ndarray:
    with archive.open(f"{number}.npy") as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("an array in another format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        data = stream.read()
    if dtype.kind not in "biufcU" or dtype.itemsize * math.prod(shape) != len(data) or min(shape, default=0) < 0:
        raise ValueError("an array of another size than it says")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


def _read_image(item: Json, archive: zipfile.ZipFile, depth: int) -> nib.Nifti1Image:
    voxels, affine, header = (_decode(item[name], archive, depth + 1) for name in ("image", "affine", "header"))
    read = nib.Nifti1Header(header.tobytes()[:348])
    read.set_data_dtype(voxels.dtype)
    return nib.Nifti1Image(voxels, affine, read)


def _make_model(name: str, given: dict[str, Any]) -> Any:
    made = _listed(name)
    if not isinstance(made, type):
        raise ValueError("not a model")
    if name == "Pipeline":
        return made([(str(step), model) for step, model in given["steps"]])
    return made(**{key: value for key, value in given.items() if key not in _NOT_SENT})


def _listed(name: object) -> Any:
    """Return a class or function of scikit-learn that an answer can be, or be made of; None for another name."""
    for module, names in _MODELS.items():
        if name in names:
            return getattr(import_module(module), str(name))
    return None


def _is_image(value: object) -> bool:
    return isinstance(value, (str, os.PathLike)) and str(value).endswith(_IMAGES) and Path(value).is_file()
