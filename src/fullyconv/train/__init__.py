"""Training: crops, fit, and rounds of hard negatives."""
