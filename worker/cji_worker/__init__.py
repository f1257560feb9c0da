"""The confidential CJI worker: sealed jobs in, sealed results and a signed receipt out."""
