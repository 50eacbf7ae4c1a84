"""Sound as numbers: waveforms at one rate, resampling in pieces, windows, augmentation, phoneme probabilities over time."""
