"""timm: one model of each of its families, kin that differ in operations, and odd uses of convolutional ones.

A family is a module of `timm.models`; a small model stands for it, or one made with fewer of its blocks.
"""

from __future__ import annotations

import contextlib
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

FAMILIES: Mapping[str, str] = {
    "beit": "beit_base_patch16_224",
    "byoanet": "halonet_h1",
    "byobnet": "repvgg_a0",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "convnext_zepto_rms",
    "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "mnasnet_small",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "vit_tiny_patch16_dinov3_qkvb",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "mambaout_femto",
    "maxxvit": "coatnet_pico_rw_224",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "mobilenetv3_small_050",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "nf_regnet_b0",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnet": "resnet10t",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42b",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_pcpvt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "vit_tiny_patch16_224",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "vit_relpos_small_patch16_224",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41",
    "xcit": "xcit_nano_12_p16_224",
}

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
    *("coatnet_pico_rw_224", "maxvit_rmlp_pico_rw_256", "caformer_s18", "convformer_s18", "mixer_s32_224"),
    *("resmlp_12_224", "levit_conv_128s", "fastvit_sa12", "mobilevitv2_050", "hgnetv2_b0"),
    *("test_resnet", "test_vit", "test_byobnet"),
)  # fmt: skip

# Sizes other than the default: what has a table of positions takes its own or is made for another.
_OWN: Mapping[str, Mapping[str, Any]] = {
    "beit_base_patch16_224": {"depth": 3},
    "csatv2": {"window": (256, 256)},
    "davit_tiny": {"window": (224, 224)},
    "deepseek_vit_412m": {"depth": 2, "img_size": 98, "window": (98, 98)},
    "gemma4_vit_167m": {"depth": 2, "img_size": 96, "window": (96, 96)},
    "halonet_h1": {"window": (256, 256)},
    "sam2_hiera_tiny": {"window": (224, 224)},
    "samvit_base_patch16_224": {"depth": 3},
}


def list_cases() -> Iterator[Case]:
    """Yields one case for each family, then the kin, then the odd uses."""
    import_torchvision()
    for name in dict.fromkeys((*FAMILIES.values(), *KIN)):
        yield Case(SUITE, name, partial(_make, name))
    yield from (Case(SUITE, f"{name} {note}", partial(use, name)) for name, note, use in _list_odd_uses())


def _make(name: str, window: tuple[int, int] | None = None, **options: Any) -> Classifier:
    import timm

    own = {**_OWN.get(name, {}), **options}
    window = own.pop("window", window)
    channels = own.get("in_chans", 3)
    if window is None and timm.get_pretrained_cfg(name).fixed_input_size:
        with contextlib.suppress(Exception):  # not every network can be made for another size
            return _require_running(Classifier(timm.create_model(name, img_size=_WINDOW, **own), _WINDOW, channels))
        window = timm.get_pretrained_cfg(name).input_size[1:]
    return Classifier(timm.create_model(name, **own), window or _WINDOW, channels)


def _require_running(classifier: Classifier) -> Classifier:
    with torch.no_grad():
        classifier.module.eval()(torch.zeros(2, classifier.channels, *classifier.window))
    return classifier


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
