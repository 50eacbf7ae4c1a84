"""The demo data set's ingredients: a face made in code, speech with phone times, and the motion that joins them."""
