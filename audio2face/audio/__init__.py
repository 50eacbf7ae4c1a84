"""Sound as numbers: waveforms at one rate, resampling in pieces, windows, augmentation, lags between sound and motion."""
