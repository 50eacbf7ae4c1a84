"""What the benchmarks share: made-up data of a given size, the method to compare with, clocks and memory."""
