"""Choosing distinct poses of a long animation without holding it in memory."""
