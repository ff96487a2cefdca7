"""The commands of `assay`, by subject."""
