"""How good an animation is: metrics, each under the name of its convention, pooled over shots, and a report of them."""
