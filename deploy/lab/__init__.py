"""What stands around Scanpost in the demo and in the scenarios: mail store, PACS, keys, generated studies, comparison.

`lab.mail_store`, `lab.openssl`, `lab.ports` and `lab.process` need the standard library alone; what reads or makes DICOM
needs the Python environment of `deploy/packages`.
"""
