"""One scan, from upload to report: pages, phantoms and the server."""
