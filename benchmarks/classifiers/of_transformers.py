"""Every image classifier of transformers, built small with random weights: the operations are what counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from classifiers.case import Case, Classifier
from classifiers.stubs import import_torchvision

SUITE = "transformers"

_CLASSES = 7

# Plain transformers: what most configurations call their sizes.
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 64,
}
_FOUR_STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
_SWIN = {"embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4, "image_size": 64}
_PYRAMID = {"hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 2, 3, 4], "depths": [1, 1, 1, 1]}
_TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_EYES = {"vision_config": {**_TOWER, "image_size": 64, "patch_size": 16}, "text_config": {**_TOWER, "vocab_size": 99}}

# The others, by model type.
_OWN: Mapping[str, Mapping[str, Any]] = {
    "bit": {**_FOUR_STAGES, "embedding_size": 8, "num_groups": 4},
    "beit": {**_SMALL, "use_relative_position_bias": True},
    "data2vec-vision": {**_SMALL, "use_relative_position_bias": True, "out_indices": [0, 1]},
    "clip": _EYES,
    "metaclip_2": _EYES,
    "siglip": _EYES,
    "siglip2": {**_EYES, "vision_config": {**_TOWER, "patch_size": 16, "num_patches": 16}},
    "convnext": {**_FOUR_STAGES, "layer_scale_init_value": 0.5},
    "convnextv2": _FOUR_STAGES,
    "cvt": {"embed_dim": [8, 16, 24], "num_heads": [1, 2, 3], "depth": [1, 2, 3]},
    "dinat": {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 4]},
    "donut-swin": _SWIN,
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.5, "hidden_dim": 320, "image_size": 96},
    "focalnet": {"embed_dim": 8, "hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 1, 1], "image_size": 64},
    "hgnet_v2": {
        "stem_channels": [3, 8, 12],
        "stage_in_channels": [12, 16, 24, 32],
        "stage_mid_channels": [8, 8, 12, 12],
        "stage_out_channels": [16, 24, 32, 40],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [2, 2, 2, 2],
        "hidden_sizes": [16, 24, 32, 40],
    },
    "hiera": {
        **{"embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2]},
        **{"image_size": [128, 128]},
    },
    "levit": {
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [2, 3, 4],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
        "image_size": 64,
    },
    "mobilenet_v1": {"depth_multiplier": 0.25, "image_size": 96},
    "mobilenet_v2": {"depth_multiplier": 0.25, "image_size": 96},
    "mobilevit": {
        "hidden_sizes": [16, 24, 32],
        "neck_hidden_sizes": [4, 8, 8, 12, 16, 20, 32],
        "num_attention_heads": 4,
        "image_size": 128,
    },
    "mobilevitv2": {"width_multiplier": 0.25, "image_size": 128},
    "perceiver": {
        **{"num_latents": 8, "d_latents": 16, "d_model": 24, "num_self_attends_per_block": 2},
        **{"num_self_attention_heads": 2, "num_cross_attention_heads": 1, "image_size": 32},
    },
    "poolformer": _FOUR_STAGES,
    "pp_lcnet": {"scale": 0.25, "class_expand": 64},
    "pvt": {**_PYRAMID, "image_size": 64},
    "pvt_v2": _PYRAMID,
    "regnet": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "embedding_size": 8, "groups_width": 8},
    "resnet": {**_FOUR_STAGES, "embedding_size": 8},
    "segformer": _PYRAMID,
    "swiftformer": {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "swin": _SWIN,
    "swinv2": _SWIN,
    "textnet": {"hidden_sizes": [8, 8, 16, 24, 32], "stem_out_channels": 8, "image_size": 64},
    "timm_wrapper": {"architecture": "resnet10t"},
}

_WINDOWS = {
    **{
        "efficientnet": (96, 96),
        "mobilenet_v1": (96, 96),
        "mobilenet_v2": (96, 96),
        "hiera": (128, 128),
        "mobilevit": (128, 128),
        "mobilevitv2": (128, 128),
    },
    **{"perceiver": (32, 32), "siglip2": (64, 64)},
}

# Their input is not an image `(N, C, H, W)`: what a row would say of them has no meaning.
NOT_IMAGES = {
    "imagegpt": "reads a sequence of colour indices",
    "siglip2": "reads patches cut beforehand, their mask and their layout",
    "shieldgemma2": "reads text with the image and answers in words",
}


def list_cases() -> Iterator[Case]:
    """Yields every class of the library's own list of image classifiers that takes an image."""
    import_torchvision()
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSES

    for kind, names in CLASSES.items():
        for name in [names] if isinstance(names, str) else names:
            if kind not in NOT_IMAGES:
                yield Case(SUITE, name, partial(_make, kind, name))


def _make(kind: str, name: str) -> Classifier:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = CONFIG_MAPPING[kind](**_OWN.get(kind, _SMALL), num_labels=_CLASSES)
    module: nn.Module = getattr(transformers, name)(config)
    return Classifier(module, _WINDOWS.get(kind, (64, 64)))


def read_version() -> str:
    """Returns the installed version."""
    return str(import_module("transformers").__version__)
