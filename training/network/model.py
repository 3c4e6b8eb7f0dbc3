"""The network: log-mel decibels in, class scores out; everything between is in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.network.batch_norm import with_fused_norms

GAIN_CONTROLS = ("three_pictures", "contrast", "half_median", "window_maximum", "pcen")
"""Ways to bring a window into the network's range; `training/notes.md` holds their comparison."""

_SCALE_DB = 25.0
_LEAST_SCORE = 1e-7
_MOVING_AVERAGE = 0.97
"""Share of the old statistics that batch norm keeps at each step; runs are short."""


def build(
    n_mels: int,
    frames: int,
    classes: int,
    *,
    gain_control: str = "three_pictures",
    weights: Path | None,
    blank: bool = False,
    dropout: float = 0.3,
) -> Any:
    """Return the Keras model: ``log_mel [batch, n_mels, frames]`` in dB to ``scores``.

    The output, softmax, has shape ``[batch, classes]``. `weights` is a file of MobileNetV2's
    ImageNet weights without the top; None lets Keras fetch its own, or, where the network stays
    `blank`, starts from chance. The sub-model that holds MobileNetV2 is the layer named
    ``mobilenet_v2``.
    """
    import keras

    log_mel = keras.Input((n_mels, frames), name="log_mel", dtype="float32")
    picture = gain_control_layer(gain_control, n_mels)(log_mel)
    backbone = keras.applications.MobileNetV2(
        input_shape=(n_mels, frames, 3),
        include_top=False,
        weights=None if weights or blank else "imagenet",
        name="mobilenet_v2",
    )
    if weights and not blank:
        backbone.load_weights(weights)
    backbone = with_fused_norms(backbone)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(picture))
    pooled = keras.layers.Dropout(dropout)(pooled)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(pooled)
    return keras.Model(log_mel, scores, name="rainwatch")


def together(networks: Sequence[Any]) -> Any:
    """Return one model of several: each hears the end of the longest's window, as long as its own.

    The scores are the normalised geometric mean of theirs (logarithmic opinion pool, Genest and
    Zidek 1986): a class that one of them rules out stays low, which an arithmetic mean forgives.
    """
    import keras
    from keras import ops

    if len(networks) == 1:
        return networks[0]
    n_mels = networks[0].input_shape[1]
    frames = max(network.input_shape[2] for network in networks)
    log_mel = keras.Input((n_mels, frames), name="log_mel", dtype="float32")
    opinions = []
    for network in networks:
        own = network.input_shape[2]
        network.name = f"window_of_{own}_frames"
        scores = network(log_mel[:, :, frames - own :])
        opinions.append(ops.log(ops.maximum(scores, _LEAST_SCORE)))
    scores = keras.layers.Softmax(name="scores")(ops.mean(ops.stack(opinions), axis=0))
    return keras.Model(log_mel, scores, name="rainwatch")


def merged(network: Any, classes: int = 4) -> Any:
    """Return `network` with what it knows beyond `classes` added to the first, background."""
    import keras
    from keras import ops

    scores = network.output
    quiet = scores[:, :1] + ops.sum(scores[:, classes:], axis=1, keepdims=True)
    whole = keras.layers.Concatenate(name="scores_merged")([quiet, scores[:, 1:classes]])
    return keras.Model(network.input, whole, name="rainwatch")


def gain_control_layer(kind: str, n_mels: int) -> Any:
    """Return the layer that turns dB ``[batch, n_mels, frames]`` into a three-channel picture.

    contrast: level against the window's median; against each band's own running median over
    time (events stay, steady noise goes); against neighbouring bands (harmonics stay, broad
    noise goes). half_median: half of each per-band median and half of the overall one is taken
    off, three times the same. three_pictures: window_maximum, half_median and the contrast to the
    band's own median, a channel each: the first keeps a steady hum that the others take away.
    window_maximum: librosa's ``ref=np.max`` with 80 dB of range.
    pcen: per-channel energy normalisation (Wang et al. 2017) with the window's per-band mean
    as its reference.
    """
    import keras
    from keras import ops

    def median(values: Any, axis: int) -> Any:
        size = values.shape[axis]
        ordered = ops.top_k(ops.moveaxis(values, axis, -1), size // 2 + 1, sorted=True)[0]
        return ops.expand_dims(ordered[..., -1], -1)

    def contrast(log_mel: Any) -> Any:
        band = median(log_mel, 2)
        overall = ops.mean(band, axis=1, keepdims=True)
        kernel = _smoothing(n_mels)
        spectrum = ops.matmul(kernel, log_mel)
        channels = (
            (log_mel - overall) / _SCALE_DB,
            (log_mel - band) / (_SCALE_DB / 2),
            (log_mel - spectrum) / (_SCALE_DB / 2),
        )
        return ops.clip(ops.stack(channels, axis=-1), -1.5, 3.0)

    def half_median(log_mel: Any) -> Any:
        band = median(log_mel, 2)
        overall = ops.mean(band, axis=1, keepdims=True)
        level = (log_mel - 0.5 * band - 0.5 * overall) / _SCALE_DB
        return ops.repeat(ops.expand_dims(ops.clip(level, -1.5, 3.0), -1), 3, axis=-1)

    def window_maximum(log_mel: Any) -> Any:
        peak = ops.max(log_mel, axis=(1, 2), keepdims=True)
        level = ops.clip((log_mel - peak) / 40.0 + 1.0, -1.0, 1.0)
        return ops.repeat(ops.expand_dims(level, -1), 3, axis=-1)

    def pcen(log_mel: Any) -> Any:
        energy = ops.power(10.0, log_mel / 10.0)
        reference = ops.mean(energy, axis=2, keepdims=True)
        level = ops.sqrt(energy / ops.power(reference + 1e-9, 0.9) * 1e-1 + 2.0) - np.sqrt(2.0)
        return ops.repeat(ops.expand_dims(ops.clip(level, 0.0, 3.0) - 1.0, -1), 3, axis=-1)

    def three_pictures(log_mel: Any) -> Any:
        band = median(log_mel, 2)
        overall = ops.mean(band, axis=1, keepdims=True)
        peak = ops.max(log_mel, axis=(1, 2), keepdims=True)
        channels = (
            ops.clip((log_mel - peak) / 40.0 + 1.0, -1.0, 1.0),
            ops.clip((log_mel - 0.5 * band - 0.5 * overall) / _SCALE_DB, -1.5, 3.0),
            ops.clip((log_mel - band) / (_SCALE_DB / 2), -1.5, 3.0),
        )
        return ops.stack(channels, axis=-1)

    layers = {
        "three_pictures": three_pictures,
        "contrast": contrast,
        "half_median": half_median,
        "window_maximum": window_maximum,
        "pcen": pcen,
    }
    return keras.layers.Lambda(layers[kind], name="gain_control")


def _smoothing(n_mels: int) -> NDArray[np.float32]:
    """Return the matrix that averages each band with its eight neighbours on either side."""
    bands = np.arange(n_mels)
    near = (np.abs(bands[:, np.newaxis] - bands) <= 8).astype(np.float32)
    mean: NDArray[np.float32] = near / near.sum(axis=1, keepdims=True)
    return mean


def block(layer_name: str) -> int:
    """Return the number of the MobileNetV2 block that a layer belongs to: 0 to 17."""
    if layer_name.startswith("block_"):
        return int(layer_name.split("_")[1])
    return 17 if layer_name.startswith(("Conv_1", "out_relu")) else 0


def prepare_fine_tuning(model: Any, first_block: int, log_mel: NDArray[np.float32]) -> None:
    """Freeze the blocks before `first_block` and let the batch norms of the others train.

    The ImageNet file beside the recordings has batch norm folded into the convolutions (mean 0,
    variance 1), so training would start far from normalised: each trained norm first gets the
    statistics of real windows, ``log_mel (n, n_mels, frames)``, while the function stays the
    same. With s = gamma / sqrt(variance + epsilon) and t = beta - mean * s, the mean mu and the
    variance va of a layer's input give gamma = s * sqrt(va + epsilon) and beta = t + s * mu.
    """
    import keras

    backbone = model.get_layer("mobilenet_v2")
    for layer in backbone.layers:
        layer.trainable = block(layer.name) >= first_block
    norms = [
        layer
        for layer in backbone.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    picture = model.get_layer("gain_control")(log_mel)
    probe = keras.Model(backbone.input, [layer.input for layer in norms])
    inputs = probe.predict(picture, verbose=0, batch_size=64)
    # Keras returns a list of one as the array itself.
    inputs = [inputs] if len(norms) == 1 else inputs
    for layer, values in zip(norms, inputs, strict=True):
        gamma, beta, mean, variance = layer.get_weights()
        slope = gamma / np.sqrt(variance + layer.epsilon)
        offset = beta - mean * slope
        new_mean = values.mean(axis=(0, 1, 2))
        new_variance = values.var(axis=(0, 1, 2)) + 1e-5
        new_gamma = slope * np.sqrt(new_variance + layer.epsilon)
        layer.set_weights([new_gamma, offset + slope * new_mean, new_mean, new_variance])
        layer.momentum = _MOVING_AVERAGE
