"""A small server on loopback that speaks the archive's language, and breaks in the ways networks break."""

import hashlib
import io
import json
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pydicom


class Archive:
    """Series to give, and faults to commit.

    Attributes
    ----------
    series : dict of str to dict
        What ``getSeries`` says of each, by SeriesInstanceUID.
    files : dict of str to dict of str to bytes
        Images of each series, by name.
    faults : dict of str to list of str
        For each series, what goes wrong the first, second, ... time that it is asked for.
    asked : list of str
        What was asked for, in order.
    """

    def __init__(self):
        self.series, self.files, self.faults, self.asked, self.checksums = {}, {}, {}, [], True

    def add_folder(self, folder):
        """Give every DICOM file below a folder."""
        for path in sorted(folder.rglob("*.dcm")):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            files = self.files.setdefault(header.SeriesInstanceUID, {})
            files[f"1-{len(files) + 1:02d}.dcm"] = path.read_bytes()
            names = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
            entry = {name: str(header.get(name)) for name in names}
            sizes = {"ImageCount": len(files), "FileSize": sum(map(len, files.values()))}
            self.series[header.SeriesInstanceUID] = entry | sizes

    def package(self, uid, fault):
        """Zip of one series."""
        stream = io.BytesIO()
        files = dict(self.files[uid])
        first = next(iter(files))
        if fault == "file missing":
            del files[first]
        sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
        if fault in ("wrong size", "wrong content"):
            files[first] = files[first][:-50] if fault == "wrong size" else files[first][:-1] + b"?"
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            archive.writestr("LICENSE", "CC BY 3.0")
            archive.writestr("../../escaped.txt", "out of the folder")
            if self.checksums:
                rows = "".join(f"{name},{value}\n" for name, value in sums.items())
                archive.writestr("md5hashes.csv", "Filename,MD5Hash\n" + rows)
        return stream.getvalue()


@contextmanager
def serve(archive):
    """Serve an archive; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            place, query = urlsplit(self.path).path.rsplit("/", 1)[-1], parse_qs(urlsplit(self.path).query)
            name = query.get("SeriesInstanceUID", [place])[0]
            archive.asked.append(name)
            faults = archive.faults.get(name, [])
            fault = faults.pop(0) if faults else None
            if fault == "broken connection":
                self.connection.close()
                return
            if fault == "server error":
                self.send_error(503)
                return
            if place == "getSeries":
                wanted = [] if fault == "nothing" else list(archive.series.values())
                body = b"" if fault == "nothing" else json.dumps(wanted).encode()
                body = b"<html>" if fault == "no JSON" else body
            else:
                body = archive.package(name, fault)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "truncated" else body)

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/nbia-api/services/v4"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
