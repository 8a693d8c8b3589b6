"""Keywords of the iterators, for type checkers and editors, which alone read this module.

Generated from the declarations of the parameters by `make docs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Required


class ImageRecordKeywords(TypedDict, total=False):
    """Parameters of ImageRecordIter."""

    path_imgrec: Required[str | PathLike[str]]
    """The .rec; several joined by ';', a folder (its *.rec by name), or a pattern."""
    path_imgidx: str | PathLike[str]
    """The index; several joined by ';'. Not given: the one beside each .rec, if any. none: no index, a scan."""
    path_imglist: str | PathLike[str]
    """A .lst whose labels take the place of those in the records, by id."""
    data_shape: Required[Sequence[int] | int | str]
    """Channels (1, 3 or 4), height and width that images are cropped to. Smaller images are enlarged first, larger ones
    only scaled by resize."""
    label_width: int | str | None
    """Labels per record; auto: as many as the first image has. Of longer vectors the first ones are used."""
    num_parts: int | str
    """Parts that the data is divided into, one for each process."""
    part_index: int | str
    """The part to read, from 0."""
    records: str
    """images: leave out records with labels and no image, as face sets have them; all: take every record."""
    doubtful: str
    """Records that end at damage and that nothing proves whole. keep: take them; drop: they count as lost."""
    data_name: str | PathLike[str]
    """Name in provide_data."""
    label_name: str | PathLike[str]
    """Name in provide_label."""
    batch_size: Required[int | str]
    """Rows of a batch."""
    round_batch: bool | int | str | None
    """1 means last_batch=pad, 0 means last_batch=keep."""
    last_batch: str | None
    """The last rows of the last batch. pad: the epoch's first images; roll_over: those of the next epoch, which starts
    after them; keep: zeros; even: zeros, once a part with an image less than others has one of the epoch's first;
    discard: no such batch."""
    equal_batches: bool | int | str
    """Give shorter parts one more batch, so that all parts have equally many."""
    dtype: str | None
    """Type of the data. uint8: mirrored, not normalised; int8: the mean subtracted, rounded and clipped."""
    layout: str
    """Order of the axes of the data."""
    shuffle: bool | int | str
    """A new order every epoch."""
    shuffle_scope: str | None
    """all: one order of the whole data, of which part r takes places r, r+n, ...; part: an order within each part."""
    shuffle_chunk_size: int | str
    """With shuffle: MiB read in one chunk, in random order and mixed with others: for slow disks. 0: off."""
    shuffle_chunk_seed: int | str
    """Seed of the order of the chunks."""
    seed: int | str
    """Seed of the order and of all random numbers."""
    seed_aug: int | str | None
    """Seed of the augmentation, instead of seed."""
    aug_seq: str
    """The sequence of augmentations."""
    resize: int | str
    """First scale the shorter edge to this many pixels; -1: keep the size."""
    max_pixels: int | str | None
    """An image of more pixels, as stored or after resize, is bad; auto: one that needs more than 1 GiB of memory, as
    its header says."""
    rand_crop: bool | int | str
    """Crop at a random place instead of the centre."""
    random_resized_crop: bool | int | str
    """Crop a random area and aspect, scaled to data_shape; excludes rand_crop, crop sizes and scales."""
    max_rotate_angle: int | str
    """Rotate by a random angle of up to this many degrees either way."""
    rotate: int | str
    """Rotate by this many degrees, counter-clockwise; 0 and less: off."""
    rotate_list: Sequence[int] | int | str
    """Rotate by one of these degrees, picked at random: 0,90,180."""
    max_aspect_ratio: float | str
    """Stretch by a random ratio in [1-v, 1+v]; with min_aspect_ratio: up to this ratio."""
    min_aspect_ratio: float | str | None
    """Stretch by a ratio from this to max_aspect_ratio."""
    max_shear_ratio: float | str
    """Shear by a random ratio in [-v, v]."""
    max_crop_size: int | str
    """Crop a square of random side up to this, scaled to data_shape."""
    min_crop_size: int | str
    """The smallest side of that square."""
    max_random_scale: float | str
    """Scale by a random factor up to this."""
    min_random_scale: float | str
    """The smallest such factor."""
    max_random_area: float | str
    """random_resized_crop: the largest share of the area."""
    min_random_area: float | str
    """random_resized_crop: the smallest share of the area."""
    max_img_size: float | str
    """Cut the canvas of rotation and scale to this, both edges."""
    min_img_size: float | str
    """Extend that canvas to this, both edges."""
    brightness: float | str
    """Multiply by a random factor in [1-v, 1+v]."""
    contrast: float | str
    """Move away from the mean grey by a random factor in [1-v, 1+v]."""
    saturation: float | str
    """Move away from each pixel's grey by a random factor in [1-v, 1+v]."""
    pca_noise: float | str
    """Standard deviation of the three coefficients of PCA noise."""
    random_h: int | str
    """Shift the hue by up to this many half degrees."""
    random_s: int | str
    """Shift the saturation by up to this many of 255 levels."""
    random_l: int | str
    """Shift the lightness by up to this many of 255 levels."""
    fill_value: int | str
    """Level of the border that rotation and pad add; clipped to 0..255."""
    inter_method: int | str
    """0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos, 9 by size, 10 drawn for each image."""
    pad: int | str
    """Border of this many pixels on all sides."""
    mirror: bool | int | str
    """Flip every image left to right."""
    rand_mirror: bool | int | str
    """Flip each image with probability 1/2."""
    mean_img: str | PathLike[str]
    """File of a mean image to subtract, in place of mean_r, g, b, a; computed and written when missing."""
    mean_r: float | str
    """Subtracted from the red channel, or the only one."""
    mean_g: float | str
    """Subtracted from the green channel."""
    mean_b: float | str
    """Subtracted from the blue channel."""
    mean_a: float | str
    """Subtracted from the alpha channel."""
    std_r: float | str
    """Divides the red channel, or the only one; not 0."""
    std_g: float | str
    """Divides the green channel; not 0."""
    std_b: float | str
    """Divides the blue channel; not 0."""
    std_a: float | str
    """Divides the alpha channel; not 0."""
    scale: float | str
    """Multiplies every value."""
    max_random_contrast: float | str
    """After the mean, multiply by a random factor in [1-v, 1+v]."""
    max_random_illumination: float | str
    """Add a random number of levels in [-v, v]."""
    preprocess_threads: int | str
    """Threads, or processes, that decode."""
    prefetch_buffer: int | str
    """Batches made in advance."""
    reuse_buffers: bool | int | str
    """Write a batch into an earlier one's arrays: they are valid until the next is requested."""
    engine: str
    """Library that resizes and warps; reference: MXNet's own arithmetic, slow and exact."""
    rng: str
    """mxnet: the order, parts and random numbers of an MXNet run with one decode thread."""
    backend: str
    """Decode in threads or processes; auto: processes, if there are several and 1000 records and more, but threads
    where the compiled decoder does all of it and images are large."""
    ctx: str | None
    """Has no effect here."""
    device_id: int | str | None
    """Has no effect here."""
    verbose: bool | int | str
    """Log what is opened and made, at level INFO."""
    on_error: str
    """A record that gives no image or label. raise: an error; skip: counted, its row filled."""
    on_truncated: str
    """A JPEG that is cut short. warn: decoded as far as it goes, counted, one warning; raise: as on_error says."""


class MNISTKeywords(TypedDict, total=False):
    """Parameters of MNISTIter."""

    image: str | PathLike[str]
    """The IDX file of images, gzipped or not."""
    label: str | PathLike[str]
    """The IDX file of labels, gzipped or not."""
    num_parts: int | str
    """Parts that the data is divided into, one for each process."""
    part_index: int | str
    """The part to read, from 0."""
    data_name: str | PathLike[str]
    """Name in provide_data."""
    label_name: str | PathLike[str]
    """Name in provide_label."""
    batch_size: int | str
    """Rows of a batch."""
    round_batch: bool | int | str | None
    """1 means last_batch=pad, 0 means last_batch=keep."""
    last_batch: str | None
    """The last rows of the last batch. pad: the epoch's first images; roll_over: those of the next epoch, which starts
    after them; keep: zeros; even: zeros, once a part with an image less than others has one of the epoch's first;
    discard: no such batch."""
    equal_batches: bool | int | str
    """Give shorter parts one more batch, so that all parts have equally many."""
    dtype: str | None
    """Type of the data."""
    shuffle: bool | int | str
    """A new order every epoch."""
    flat: bool | int | str
    """Rows of pixels instead of images."""
    seed: int | str
    """Seed of the order."""
    prefetch_buffer: int | str
    """Has no effect here: all is in memory."""
    ctx: str | None
    """Has no effect here."""
    rng: str
    """mxnet: the one order, and the parts, of an MXNet run."""
    silent: bool | int | str
    """Do not log what was opened."""


class CSVKeywords(TypedDict, total=False):
    """Parameters of CSVIter."""

    data_csv: Required[str | PathLike[str]]
    """The rows: a file, several joined by ';', or a folder (its files by name)."""
    data_shape: Required[Sequence[int] | int | str]
    """Shape of a row; any number of dimensions."""
    label_csv: str | PathLike[str] | None
    """The labels, a line for each row: a file, several joined by ';', or a folder (its files by name). Not given:
    zeros."""
    label_shape: Sequence[int] | int | str
    """Shape of a label."""
    num_parts: int | str
    """Parts that the data is divided into, one for each process."""
    part_index: int | str
    """The part to read, from 0."""
    data_name: str | PathLike[str]
    """Name in provide_data."""
    label_name: str | PathLike[str]
    """Name in provide_label."""
    batch_size: Required[int | str]
    """Rows of a batch."""
    round_batch: bool | int | str | None
    """1 means last_batch=pad, 0 means last_batch=keep."""
    last_batch: str | None
    """The last rows of the last batch. pad: the epoch's first rows; roll_over: those of the next epoch, which starts
    after them; keep: zeros; even: zeros, once a part with a row less than others has one of the epoch's first; discard:
    no such batch."""
    equal_batches: bool | int | str
    """Give shorter parts one more batch, so that all parts have equally many."""
    dtype: str | None
    """Type of data and labels. int32, int64: decimals are cut off."""
    prefetch_buffer: int | str
    """Has no effect here: rows are read in blocks, not in batches."""
    ctx: str | None
    """Has no effect here."""


class LibSVMKeywords(TypedDict, total=False):
    """Parameters of LibSVMIter."""

    data_libsvm: Required[str | PathLike[str]]
    """The rows: a file, several joined by ';', or a folder (its files by name)."""
    data_shape: Required[Sequence[int] | int | str]
    """Columns of a row, one number: indices are below it."""
    label_libsvm: str | PathLike[str] | None
    """Sparse labels, a line for each row, whose own first number is ignored: a file, several joined by ';', or a folder
    (its files by name). Not given: the first number of each row is its label."""
    label_shape: Sequence[int] | int | str
    """Columns of a sparse label, one number above 1."""
    num_parts: int | str
    """Parts that the data is divided into, one for each process."""
    part_index: int | str
    """The part to read, from 0."""
    data_name: str | PathLike[str]
    """Name in provide_data."""
    label_name: str | PathLike[str]
    """Name in provide_label."""
    batch_size: Required[int | str]
    """Rows of a batch."""
    round_batch: bool | int | str | None
    """1 means last_batch=pad, 0 means last_batch=keep."""
    last_batch: str | None
    """The last rows of the last batch. pad: the epoch's first rows; roll_over: those of the next epoch, which starts
    after them; keep: zeros; even: zeros, once a part with a row less than others has one of the epoch's first; discard:
    no such batch."""
    equal_batches: bool | int | str
    """Give shorter parts one more batch, so that all parts have equally many."""
    dtype: str | None
    """Type of data and labels."""
    prefetch_buffer: int | str
    """Has no effect here: rows are read in blocks, not in batches."""
    ctx: str | None
    """Has no effect here."""
