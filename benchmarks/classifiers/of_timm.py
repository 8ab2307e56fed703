"""timm: one model of each of its families, kin that differ in operations, and odd uses of convolutional ones.

A family is a module of `timm.models`. Chosen is its smallest model by parameters (made for tests only left out),
as `find_smallest` finds it; the names are kept here because to make all of them takes a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from classifiers.case import Case, Classifier
from classifiers.stubs import import_torchvision

SUITE = "timm"

# The same operations in less time, where a network takes any size.
_WINDOW = (128, 128)

SMALLEST: Mapping[str, str] = {}

# Models of the same families with operations of their own.
KIN = (
    *("resnet18d", "resnetblur50", "resnetaa50", "resnet50_gn", "resnet50_clip", "ecaresnet26t", "seresnext26d_32x4d"),
    *("resnetv2_50", "resnetv2_50x1_bit", "resnetv2_50d_gn", "skresnet18", "gernet_s", "repvgg_a0", "mobileone_s0"),
    *("resnet26t", "botnet26t_256", "lambda_resnet26t", "eca_botnext26ts_256", "nf_resnet26", "nf_regnet_b0"),
    *("dm_nfnet_f0", "eca_nfnet_l0", "regnetx_002", "regnety_002", "regnetz_b16", "mixnet_s", "tf_mixnet_s"),
    *("tinynet_e", "mobilenetv2_035", "mobilenetv1_100", "mobilenetv4_conv_small", "mobilenetv4_hybrid_medium"),
    *("efficientnet_lite0", "tf_efficientnet_lite0", "tf_efficientnet_b0", "efficientnet_es", "fbnetc_100"),
    *("mnasnet_small", "spnasnet_100", "tf_mobilenetv3_small_minimal_100", "fbnetv3_b", "lcnet_050"),
    *("densenetblur121d", "darknet17", "darknet53", "cspresnet50", "cspdarknet53", "dla34", "res2net50_14w_8s"),
    *("ese_vovnet19b_dw", "vovnet39a", "xception41", "xception71", "legacy_xception", "legacy_seresnet18"),
    *("convnext_atto", "convnext_atto_ols", "convnextv2_atto", "mambaout_femto", "vgg11", "vgg11_bn", "pit_ti_224"),
    *("coatnet_pico_rw_224", "maxvit_rmlp_pico_rw_256", "caformer_s18", "convformer_s18", "mixer_s32_224", "resmlp_12_224"),
    *("levit_conv_128s", "fastvit_sa12", "mobilevitv2_050", "hgnetv2_b0", "test_resnet", "test_vit", "test_byobnet"),
)  # fmt: skip

# Sizes other than the default: what has a table of positions takes its own or is made for another.
_OWN: Mapping[str, Mapping[str, Any]] = {}


def list_cases() -> Iterator[Case]:
    """Yields one case for each family, then the kin, then the odd uses."""
    import_torchvision()
    for name in dict.fromkeys((*SMALLEST.values(), *KIN)):
        yield Case(SUITE, name, partial(_make, name))
    yield from (Case(SUITE, f"{name} {note}", partial(use, name)) for name, note, use in _list_odd_uses())


def _make(name: str, window: tuple[int, int] | None = None, **options: Any) -> Classifier:
    import timm

    own = dict(_OWN.get(name, {}))
    window = own.pop("window", window)
    module = timm.create_model(name, pretrained=False, **own, **options)
    config = module.default_cfg
    if window is None:
        window = config["input_size"][1:] if config.get("fixed_input_size") else _WINDOW
    return Classifier(module, tuple(window), options.get("in_chans", 3))


def _list_odd_uses() -> Iterator[tuple[str, str, Any]]:
    for name in ("resnet18", "vgg11", "densenet121", "convnext_atto", "mobilenetv2_035", "regnetx_002", "dpn48b"):
        yield name, "one channel", partial(_make, in_chans=1)
        yield name, "96x160", partial(_make, window=(160, 96))
    for name in ("resnet18", "densenet121", "vgg11"):
        for pool in ("max", "avgmax", "catavgmax"):
            yield name, f"pooled by {pool}", partial(_make, global_pool=pool)
    for name in ("dpn48b", "resnet18", "densenet121"):
        yield name, "test-time pool", _make_pooled_later
    yield "resnet26t", "output stride 8", partial(_make, output_stride=8)
    yield "repvgg_a0", "reparametrised", _make_reparametrised
    yield "mobileone_s0", "reparametrised", _make_reparametrised


def _make_pooled_later(name: str) -> Classifier:
    """Returns timm's test-time head: each cell of a larger map is classified over a pool of the trained size."""
    from timm.layers import TestTimePoolHead

    made = _make(name)
    return Classifier(TestTimePoolHead(made.module, original_pool=3), (160, 160))


def _make_reparametrised(name: str) -> Classifier:
    from timm.utils.model import reparameterize_model

    made = _make(name)
    module: nn.Module = reparameterize_model(made.module)
    return Classifier(module, made.window)


def find_smallest() -> dict[str, str]:
    """Returns the smallest model of each family that timm has now; no weights are made."""
    import_torchvision()
    import timm

    def count(name: str) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in timm.create_model(name).parameters())

    families = {family: timm.list_models(module=family) for family in timm.list_modules()}
    return {family: min((name for name in names if not name.startswith("test_")), key=count)
            for family, names in families.items() if names}  # fmt: skip
