"""Sound as numbers: waveforms at one rate, background noise, phoneme probabilities over time."""
