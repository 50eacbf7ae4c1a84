"""Made-up machines, data sets, runs and models that tests share."""
