"""Answers as data: what a student can answer comes through as it was, and whatever else is written is refused."""

import io
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from ellipsoids import tumour
from sklearn.feature_selection import SelectKBest, chi2, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from epitome_kit.classroom.values import Answer, NotData, read_answer, write_answer
from epitome_kit.images import save_image, voxel_size_known


def _through(value, tmp_path):
    write_answer(tmp_path / "answer", Answer([value]))
    ((found,), error) = read_answer((tmp_path / "answer").read_bytes())
    assert error == ""
    return found


@pytest.mark.parametrize(
    "value", [None, True, 0, -3, 2**70, 0.1, float("inf"), "sub-001", ["a", "b"], [1, [2.5, None]]]
)
def test_plain_values_come_through(value, tmp_path):
    found = _through(value, tmp_path)
    assert found == value and type(found) is type(value)


def test_values_of_packages_become_plain_ones(tmp_path):
    assert _through(np.float32(0.5), tmp_path) == 0.5 and _through(np.bool_(True), tmp_path) is True
    assert _through(pd.Series([3, 4]), tmp_path) == [3, 4] and _through({"b": 1, "a": 2}, tmp_path) == ["b", "a"]
    assert _through(pd.Index(["x"]), tmp_path) == ["x"] and _through((1, 2), tmp_path) == [1, 2]


@pytest.mark.parametrize(
    "array", [np.eye(4), np.zeros((2, 3, 4), bool), np.array(3.5), np.asfortranarray(np.ones((3, 2)))]
)
def test_arrays_come_through(array, tmp_path):
    found = _through(array, tmp_path)
    assert found.dtype == array.dtype and found.shape == array.shape and (found == array).all()


@pytest.mark.parametrize("form", ["image", "path", "text"])
def test_an_image_comes_through_whether_given_as_image_or_as_file(form, tmp_path):
    image = tumour()
    file = tmp_path / "mask.nii.gz"
    save_image(image, file)
    found = _through({"image": image, "path": file, "text": str(file)}[form], tmp_path)
    assert isinstance(found, nib.Nifti1Image) and np.allclose(found.affine, image.affine)
    assert (np.asarray(found.dataobj) == np.asarray(image.dataobj)).all()
    assert voxel_size_known(found) == voxel_size_known(image)


def test_a_model_is_made_again_from_its_parameters(tmp_path):
    model = make_pipeline(SelectKBest(f_classif, k=12), StandardScaler(with_mean=False), LogisticRegression(C=0.1))
    found = _through(model, tmp_path)
    assert [name for name, _ in found.steps] == [name for name, _ in model.steps]
    assert found[0].k == 12 and found[0].score_func is f_classif and found[1].with_mean is False and found[2].C == 0.1
    assert _through(SelectKBest(chi2, k=3), tmp_path).score_func is chi2
    model.memory = str(tmp_path)
    assert _through(model, tmp_path).memory is None, "a folder of pickles that the judge would load"


class Liar(float):
    __eq__ = __le__ = __ge__ = lambda *others: True
    __hash__ = float.__hash__


class Evil:
    def __reduce__(self):
        return print, ("unpickled",)


def test_objects_lose_what_they_can_do(tmp_path):
    found = _through(Liar(7), tmp_path)
    assert type(found) is float and found != 8
    for odd in (Evil(), Evil, b"bytes", lambda: 1, object()):
        found = _through(odd, tmp_path)
        assert isinstance(found, NotData) and type(found).__name__ == type(odd).__name__
    assert _through(np.array([Evil()], dtype=object), tmp_path).dtype == object


def _archive(text, members=(), compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("answer.json", text)
        for name, content in dict(members).items():
            archive.writestr(name, content)
    return stream.getvalue()


def _saved(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def _values(*values):
    return json.dumps({"values": values, "error": ""})


FOUR = _saved(np.zeros(4))
HOSTILE = {
    "nothing": b"",
    "text": b'{"values": [], "error": ""}',
    "a zip of nothing": _archive("{}"),
    "no list": _archive('{"values": 5, "error": ""}'),
    "a number as kind": _archive(_values(5)),
    "an unknown kind": _archive(_values({"pickle": "gASV"})),
    "deep": _archive('{"error": "", "values": ' + '[{"list": ' * 50_000 + "[]" + "}]" * 50_000 + "}"),
    "a pickle": _archive(_values({"array": 0}), {"0.npy": _saved(np.array([Evil()]), allow_pickle=True)}),
    "an array that is missing": _archive(_values({"array": 0})),
    "an array of another size": _archive(
        _values({"array": 0}), {"0.npy": _saved(np.zeros(4)).replace(b"(4,)", b"(5,)")}
    ),
    "an endless array": _archive(
        _values({"array": 0}), {"0.npy": _saved(np.zeros(4)).replace(b"(4,), }  ", b"(999999,)}")}
    ),
    "a bomb": _archive(_values({"array": 0}), {"0.npy": bytes(10**7)}, zipfile.ZIP_DEFLATED),
    "a model of code": _archive(_values({"model": "FunctionTransformer", "parameters": {}})),
    "a function as model": _archive(_values({"model": "f_classif", "parameters": {}})),
    "an odd image": _archive(_values({"image": {"text": "x"}, "affine": {"none": None}, "header": {"int": "5"}})),
    "an odd float": _archive(_values({"float": "0x1p99999"})),
    "a long number": _archive(_values({"int": "9" * 10_000})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_answer_looks_like_is_refused(name, capfd):
    with pytest.raises(ValueError, match="no answer in it"):
        read_answer(HOSTILE[name])
    assert "unpickled" not in capfd.readouterr().out


def test_text_that_names_an_image_is_not_opened_by_the_judge():
    ((found,), _) = read_answer(_archive(_values({"text": str(Path("truth.nii.gz"))})))
    assert isinstance(found, NotData)


def test_error_text_is_one_plain_line():
    _, error = read_answer(_archive(json.dumps({"values": [], "error": "\x1b[31mRight\n" + "x" * 1000})))
    assert error.startswith(" [31mRight x") and len(error) == 200
