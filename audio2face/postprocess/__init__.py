"""The runtime's post-processing: from network output to the final skin, tongue, jaw and eyes. NumPy only.

Every part works on a stream: `apply(part, frames, state)` returns the finished frames and the state for the next call,
and frames given in pieces of any size come out as they would in one call. `chain` joins the parts.
"""
