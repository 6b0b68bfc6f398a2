"""Reports as files: the same rows as CSV, XLSX or Parquet, made by a worker, kept sealed, downloaded by whoever may."""
