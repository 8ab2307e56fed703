"""Names of runtimes, as people write them."""

from __future__ import annotations

import pytest

from fullyconv.errors import OptionError
from fullyconv.runtime.specification import NAMES, Runtime, check_precision, list_candidates, parse_runtime


@pytest.mark.parametrize("name", NAMES)
def test_a_name_and_its_runtime_are_one(name):
    runtime = parse_runtime(name)
    assert runtime.is_exact
    assert (runtime.name, str(runtime)) == (name, name)


@pytest.mark.parametrize("name", ["torch-bfloat16", "torch-channels-last-float16", "openvino-bfloat16"])
def test_so_are_those_with_an_arithmetic(name):
    runtime = parse_runtime(name, "fast")
    assert not runtime.is_exact
    assert runtime.name == name
    with pytest.raises(OptionError, match=rf"runtime '{name}': computes in .*float16, which needs precision fast"):
        parse_runtime(name)


def test_fast_is_bfloat16_where_there_is_a_choice():
    assert parse_runtime("torch-compiled", "fast").name == "torch-compiled-bfloat16"
    assert parse_runtime("onnxruntime", "fast") == Runtime("onnxruntime")


@pytest.mark.parametrize("name", ["", "auto", "tensorrt", "torch-", "onnxruntime-bfloat16", "openvino-channels-last"])
def test_other_names_are_refused(name):
    with pytest.raises(OptionError, match="expected auto or one of torch, torch-channels-last"):
        parse_runtime(name, "fast")


def test_there_are_two_precisions():
    with pytest.raises(OptionError, match="precision: expected exact or fast, got 'half'"):
        check_precision("half")


def test_exact_candidates_are_exact():
    candidates = list_candidates("exact", "cpu", compiles=False)
    assert [str(runtime) for runtime in candidates] == ["torch", "torch-channels-last", "onnxruntime", "openvino"]
    assert "torch-compiled" in map(str, list_candidates("exact", "cpu", compiles=True))


def test_float16_is_tried_on_graphics_cards_alone():
    assert not any(runtime.arithmetic == "float16" for runtime in list_candidates("fast", "cpu", compiles=True))
    names = [str(runtime) for runtime in list_candidates("fast", "cuda:1", compiles=False)]
    assert names[0] == "torch on cuda:1"
    assert "torch-channels-last-float16 on cuda:1" in names
    assert len(set(names)) == len(names)
