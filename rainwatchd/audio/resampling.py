"""From a source's own sample rate to the model's."""

from __future__ import annotations

import soxr

from rainwatchd.audio.samples import Floats


class Resampler:
    """Streaming conversion by the SoX resampler; the result doesn't depend on block sizes.

    Quality "HQ" (20 bit, pass band to 0.91 of Nyquist): on a processor with vector units it costs
    the same as "MQ".
    """

    def __init__(self, source_rate_hz: int, target_rate_hz: int) -> None:
        self._stream: soxr.ResampleStream | None = None
        if source_rate_hz != target_rate_hz:
            self._stream = soxr.ResampleStream(
                source_rate_hz, target_rate_hz, 1, dtype="float32", quality="HQ"
            )

    def push(self, samples: Floats, last: bool = False) -> Floats:
        """Convert float32 samples, shape ``(n,)``; with `last`, also those still in the filter."""
        if self._stream is None:
            return samples
        converted: Floats = self._stream.resample_chunk(samples, last=last)
        return converted

    def reset(self) -> None:
        """Forget the samples in the filter; call where the stream has a gap."""
        if self._stream is not None:
            self._stream.clear()
