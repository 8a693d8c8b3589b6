"""What a user should know of the parameters they gave: those that have no effect, here or together with others."""

from __future__ import annotations

from im2rec.iterators.shared_params import MXNET
from im2rec.params import changed
from im2rec.pipeline.params import ImageRecordParams

_COLORS = ("brightness", "contrast", "saturation", "pca_noise", "random_h", "random_s", "random_l")
_SCALES = ("std_r", "std_g", "std_b", "std_a", "scale", "max_random_contrast", "max_random_illumination")
_MEANS = ("mean_r", "mean_g", "mean_b", "mean_a", "mean_img")


def notices(params: ImageRecordParams) -> list[str]:
    """One line for each group of parameters that were given and have no effect."""
    found = [f"{name} has no effect here" for name in changed(params, ("ctx", "device_id"))]
    if params.dtype in ("uint8", "int8"):
        ignored = changed(params, _SCALES if params.dtype == "int8" else (*_MEANS, *_SCALES))
        found += [f"dtype={params.dtype} is not normalised: {', '.join(ignored)} has no effect"] if ignored else []
    if params.shape[0] == 1 and (ignored := changed(params, _COLORS)):
        found.append(f"pictures of one channel have no colours: {', '.join(ignored)} has no effect")
    if params.mean_img and (ignored := changed(params, _MEANS[:-1])):
        found.append(f"mean_img takes the place of {', '.join(ignored)}")
    if not params.shuffle and params.rng != MXNET and (ignored := changed(params, ("shuffle_chunk_size",))):
        found.append(f"{ignored[0]} has no effect without shuffle")
    return found
