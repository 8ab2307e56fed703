from pathlib import Path

import pytest

import fullyconv
from fullyconv import DenseModel
from fullyconv.errors import ModelError, OptionError
from fullyconv.scan.network import LoadedNetwork, NetworkFile, hash_files
from fullyconv.scan.planning import ScanSettings


def test_a_file_is_known_by_what_it_holds(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "dense.pt2", tmp_path / "b" / "other.pt2"
    for path in (first, second):
        path.parent.mkdir()
    dense_with_margins.save(first)
    second.write_bytes(first.read_bytes())
    assert NetworkFile(str(first)).identify() == NetworkFile(str(second)).identify()
    second.write_bytes(first.read_bytes() + b" ")
    assert NetworkFile(str(first)).identify() != NetworkFile(str(second)).identify()
    assert NetworkFile(str(first)).identify() != NetworkFile(str(first), stride=(1, 1)).identify()
    with pytest.raises(ModelError, match="no such network; fullyconv convert writes one"):
        NetworkFile(str(tmp_path / "none.pt2")).identify()


def test_parts_of_a_network_belong_to_it(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"trunk")
    alone = hash_files(path)
    (tmp_path / "x.head.onnx").write_bytes(b"head")
    whole = hash_files(path)
    (tmp_path / "x.notes.txt").write_bytes(b"nothing to do with it")
    assert alone != whole == hash_files(path)
    (tmp_path / "x.onnx.data").write_bytes(b"weights")
    assert hash_files(path) != whole


def test_a_file_is_opened_as_asked(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    path = tmp_path / "dense.pt2"
    dense_with_margins.save(path)
    own = NetworkFile(str(path)).open()
    assert own.grid == dense_with_margins.grid
    other = NetworkFile(str(path), stride=(2, 1), border="window", runtime="torch-channels-last").open()
    assert isinstance(other, fullyconv.DenseModel)
    assert (other.grid.stride_px, other.card.border) == ((2, 1), "window")
    assert other.choice is not None and other.choice.runtime.name == "torch-channels-last"


def test_a_network_in_memory(dense_with_margins: DenseModel) -> None:
    network = LoadedNetwork(dense_with_margins, "weights of May")
    assert network.open() is dense_with_margins
    assert network.identify()["network"] == "weights of May"
    assert network.identify() != LoadedNetwork(dense_with_margins.refine(1), "weights of May").identify()


def test_threads() -> None:
    with pytest.raises(OptionError, match="threads: expected at least 1, got 0"):
        ScanSettings(threads=0)
