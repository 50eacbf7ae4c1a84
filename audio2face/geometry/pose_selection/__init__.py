"""Choosing the poses that a PCA basis is fitted to, without a decomposition in vertex space.

The rule (`select.select_distinct`) is greedy farthest-point selection from a growing subspace: take four evenly spaced poses,
then, each round, the pose with the largest residual from the mean and the leading principal components (up to a share of
the variance) of those chosen so far. Written down plainly, a round is a PCA of the chosen poses and a projection of all N,
in 3V coordinates each. Here everything is done in the K dimensions that K chosen poses span:

1. `gram`: the only thing taken from the vertices are inner products of a chosen pose with all poses, a row of the Gram
   matrix. Rows are read in blocks, predicted ahead from a random sketch of the coordinates so that one pass over the data
   serves many rounds; when the residual falls slowly, all remaining products are read at once in single precision.
2. `subspace`: Gram-Schmidt on these products gives the coordinates of every pose in an orthonormal basis of the chosen
   ones, and its squared distance from their span. This is a pivoted Cholesky factor of the Gram matrix (Harbrecht, Peters,
   Schneider, "On the low-rank approximation by the pivoted Cholesky decomposition", 2012).
3. `rank_one_eig`: the PCA of the chosen poses in these coordinates changes by a matrix of rank one when a pose comes, so its
   eigenvalues are roots of a secular equation (Bunch, Nielsen, Sorensen, "Rank-one modification of the symmetric
   eigenproblem", 1978), with eigenvectors that stay orthonormal (Gu, Eisenstat, "A stable and efficient algorithm for the
   rank-one modification of the symmetric eigenproblem", 1994).
4. The residual of a pose is its distance from the subspace plus its part along the axes that the variance leaves out. It is
   measured in single precision with a bound on the error (Higham, "Accuracy and Stability of Numerical Algorithms",
   section 3.5); candidates within the bound of the largest are measured again in double precision, so rounding decides
   nothing. Residuals below 1e-5 of the data's extent end the selection, and poses that coincide are taken once.

docs/performance.md compares it with the plain method: the same poses, 76 to 258 times faster.
"""
