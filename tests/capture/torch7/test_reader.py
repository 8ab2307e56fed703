"""Binary `.t7` files as Torch7 wrote them, old and new, and files that are damaged or want to do harm."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from fullyconv.capture.torch7.binary import FormatError
from fullyconv.capture.torch7.reader import read_values
from fullyconv.capture.torch7.values import LuaFunction, Storage, StoredTensor, TorchObject
from torch7_writer import Function, Obj, View, sizes, write_t7
from torch7_writer import Storage as Written

FLOATS = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_plain_values():
    table = {"number": 1.5, "text": "a\xff", "yes": True, "no": False, 1.0: {"inner": "b"}}
    assert read_values(write_t7(table | {"nil": None})) == table | {"nil": None}


@pytest.mark.parametrize("options", [{}, {"long_bytes": 4}, {"versioned": False}, {"cuda": True}])
def test_tensors_of_every_time_and_machine(options):
    kinds = {"f4": FLOATS, "f8": FLOATS.astype(float), "i8": FLOATS.astype(np.int64) if not options else FLOATS}
    table = read_values(write_t7(kinds | {"sizes": sizes(3, -1)}, **options))
    for tensor in kinds:
        np.testing.assert_array_equal(table[tensor].to_array(), FLOATS)
        assert table[tensor].to_array().dtype == np.float32
    assert table["sizes"].values.tolist() == [3, -1]


def test_views_into_one_storage():
    storage = np.arange(20, dtype=np.float32)
    views = {"turned": View(storage, (4, 3), (1, 4), 6), "row": View(storage, (5,), (2,), 11)}
    table = read_values(write_t7(views))
    np.testing.assert_array_equal(table["turned"].to_array(), storage[5:17].reshape(3, 4).T)
    np.testing.assert_array_equal(table["row"].to_array(), storage[10:20:2])
    assert table["turned"].storage is table["row"].storage


def test_tensors_without_elements():
    table = read_values(write_t7({"none": View(np.zeros(0, np.float32), (), (), 1)}))
    assert table["none"].to_array().shape == (0,)
    assert read_values(_tensor(0, [], [], 0, None)).to_array().shape == (0,)


def test_what_comes_twice_is_one_and_may_hold_itself():
    shared = Obj("nn.ReLU", {"threshold": 0})
    shared.fields["parent"] = shared
    table = read_values(write_t7({"a": shared, "b": shared}))
    assert table["a"] is table["b"] is table["a"].fields["parent"]


def test_versions():
    objects = {"old": Obj("nn.A", version=None), "new": Obj("nn.B", version=2)}
    table = read_values(write_t7(objects))
    assert [(found.class_name, found.version) for found in table.values()] == [("nn.A", 0), ("nn.B", 2)]


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_functions_are_passed_over(kind):
    table = read_values(write_t7({"f": Function(kind, [{"name": "up", "value": 1}]), "after": "text"}))
    assert isinstance(table["f"], LuaFunction)
    assert table["after"] == "text"
    twice = Function(kind)
    assert read_values(write_t7([twice, twice])).keys() == {1.0, 2.0}


def test_keys_that_nothing_looks_up_are_left_out():
    assert read_values(write_t7({Obj("nn.Key"): 1, "a": 2})) == {"a": 2}


def _nest(levels):
    return {"inner": _nest(levels - 1)} if levels else {}


def _tensor(rank, shape, strides, first, storage, kind="torch.FloatTensor"):
    head = struct.pack("<4i", 4, 1, 3, 0)[:8] + struct.pack("<i", 3) + b"V 1" + struct.pack("<i", len(kind))
    numbers = struct.pack(f"<i{len(shape) + len(strides) + 1}q", rank, *shape, *strides, first)
    return head + kind.encode() + numbers + write_t7(storage)


def _numbers(count):
    return Written("torch.FloatStorage", np.zeros(count, np.float32))


BAD = {
    "empty": (b"", "byte 0: 4 for a number, where 0 bytes are left"),
    "text": (b"hello, this is no model", "no type has the number"),
    "ascii": (b"4\n1\n3\nV 1\n13\nnn.Sequential\n", "text format; save it in Torch7's binary format"),
    "zip": (b"PK\x03\x04" + bytes(60), "no type has the number"),
    "longer": (write_t7({"a": 1}) + b"x", "1 bytes follow the value"),
    "long text": (struct.pack("<2i", 2, 2**31 - 1), "2147483647 for a text, where 0 bytes are left"),
    "negative text": (struct.pack("<2i", 2, -5), "-5 for a text"),
    "large table": (struct.pack("<3i", 3, 1, 2**31 - 1), "2147483647 for entries of a table"),
    "long function": (struct.pack("<3i", 8, 1, 2**30), "1073741824 for a function"),
    "no class": (struct.pack("<3i", 4, 1, 4) + b"a\n;b" + bytes(8), "is no class"),
    "version": (struct.pack("<3i", 4, 1, 5) + b"V 1e9" + bytes(40), "'V 1e9' is no class"),
    "foreign": (struct.pack("<3i", 4, 1, 8) + b"tds.Hash" + write_t7(3), "what tds.Hash writes is not known"),
    "inside": (struct.pack("<3i", 4, 1, 8) + b"nn.Thing" + struct.pack("<i", 99), r"the number 99 \(inside nn.Thing\)"),
    "rank": (_tensor(65, [], [], 1, _numbers(2)), "a tensor with 65 axes"),
    "negative rank": (_tensor(-1, [], [], 1, _numbers(2)), "a tensor with -1 axes"),
    "storage": (_tensor(1, [2], [1], 1, {"a": 1}), "a tensor without a storage"),
    "beyond": (_tensor(1, [3], [1], 1, _numbers(2)), r"sizes \(3,\) that reaches beyond its storage"),
    "far": (_tensor(2, [2, 2], [2**60, 1], 1, _numbers(9)), "reaches beyond its storage"),
    "offset": (_tensor(1, [2], [1], 9, _numbers(9)), "reaches beyond its storage"),
    "before": (_tensor(1, [2], [1], 0, _numbers(9)), "from -1"),
    "backwards": (_tensor(1, [2], [-1], 2, _numbers(9)), r"strides \(-1,\)"),
    "negative size": (_tensor(1, [-2], [1], 1, _numbers(9)), r"sizes \(-2,\)"),
    "nil": (_tensor(1, [2], [1], 1, None), "reaches beyond its storage"),
    "large storage": (
        write_t7(_numbers(3)).replace(struct.pack("<q", 3), struct.pack("<q", 2**59)),
        "576460752303423488 for torch.FloatStorage, where 12 bytes are left",
    ),
    "half": (write_t7(Written("torch.HalfStorage", np.zeros(3, np.float32))), "torch.HalfStorage writes is not known"),
    "deep": (write_t7(_nest(220)), "more than 200 deep in each other"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_damaged_and_hostile_files_are_refused(name):
    content, message = BAD[name]
    with pytest.raises(FormatError, match=message):
        read_values(content)


def test_an_expanded_tensor_takes_no_memory():
    tensor = read_values(_tensor(2, [2**40, 2**20], [0, 0], 1, _numbers(2)))
    assert isinstance(tensor, StoredTensor)
    with pytest.raises(ValueError, match="are more than what is stored"):
        tensor.to_array()


def make_small_file():
    fields = {"weight": FLOATS, "gradWeight": FLOATS * 0, "size": sizes(3, 4), "f": Function(), "flag": True}
    return write_t7(Obj("nn.Sequential", {"modules": [Obj("nn.Linear", fields)], "name": "text"}))


def test_a_file_cut_anywhere_is_refused():
    content = make_small_file()
    assert isinstance(read_values(content), TorchObject)
    for length in range(len(content)):
        with pytest.raises(FormatError):
            read_values(content[:length])


def test_changed_bytes_never_do_more_than_fail():
    content, random = make_small_file(), np.random.default_rng(0)
    outcomes = set()
    for _ in range(600):
        changed = bytearray(content)
        for place in random.integers(0, len(content), 3):
            changed[place] = random.choice([0, 1, 3, 4, 8, 127, 255])
        try:
            outcomes.add(type(read_values(bytes(changed))))
        except FormatError:
            outcomes.add(FormatError)
    assert outcomes >= {TorchObject, FormatError}


def test_storages_are_not_copied():
    content = write_t7(_numbers(5))
    found = read_values(content)
    assert isinstance(found, Storage)
    assert not found.values.flags.owndata and not found.values.flags.writeable
