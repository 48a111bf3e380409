"""DICOM senders for the scenarios."""
