"""Many recordings, one folder of results: a Parquet part for each, and a part is the mark of done.

Needs the extra `archive` (pyarrow, fsspec), which never comes to a device.
"""
