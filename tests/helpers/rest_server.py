"""A stand-in for TensorFlow Serving: python tests/helpers/rest_server.py NAME FOLDER.

As the server does, it takes the highest version in the folder, loads it by its signatures into one
session, runs the requests in `assets.extra`, and answers POST /v1/models/NAME:predict in the row
format of the REST API: {"signature_name": ..., "instances": [...]} gives {"predictions": [...]},
with bytes as {"b64": ...}. It prints `ready PORT warmed COUNT` when it listens.
"""

from __future__ import annotations

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tensorflow as tf


class Model:
    """A loaded SavedModel."""

    def __init__(self, folder: Path) -> None:
        version = max((path for path in folder.iterdir() if path.name.isdigit()), key=_number)
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        meta = tf.compat.v1.saved_model.load(self.session, ["serve"], str(version))
        self.signatures = meta.signature_def
        self.warmed = self._warm_up(version / "assets.extra" / "tf_serving_warmup_requests")

    def run(self, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        signature = self.signatures[name]
        if set(inputs) != set(signature.inputs):
            raise ValueError(f"inputs are {list(signature.inputs)}, received {list(inputs)}")
        feed = {signature.inputs[key].name: value for key, value in inputs.items()}
        fetch = {key: info.name for key, info in signature.outputs.items()}
        return self.session.run(fetch, feed)

    def _warm_up(self, path: Path) -> int:
        from tensorflow_serving.apis import prediction_log_pb2

        records = list(tf.compat.v1.io.tf_record_iterator(str(path)))
        for record in records:
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            outputs = self.run(request.model_spec.signature_name, inputs)
            if any(outputs.get("error", [])):
                raise ValueError(f"a warm-up request failed: {outputs['error']}")
        return len(records)

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.get("signature_name", "serving_default")
        rows = [self._named(name, row) for row in request["instances"]]
        inputs = {key: [_received(row[key]) for row in rows] for key in rows[0]}
        outputs = self.run(name, inputs)
        answers = [
            {key: _sent(key, values[i]) for key, values in outputs.items()}
            for i in range(len(rows))
        ]
        bare = [next(iter(answer.values())) for answer in answers]
        return {"predictions": bare if len(outputs) == 1 else answers}

    def _named(self, name: str, row: Any) -> dict[str, Any]:
        """A signature of one input takes it without its name."""
        if isinstance(row, dict) and set(row) != {"b64"}:
            return row
        return {next(iter(self.signatures[name].inputs)): row}


def _number(path: Path) -> int:
    return int(path.name)


def _received(value: Any) -> Any:
    bare = isinstance(value, dict) and set(value) == {"b64"}
    return base64.b64decode(value["b64"], validate=True) if bare else value


def _sent(key: str, value: Any) -> Any:
    """Strings are text, but bytes where the output's name ends in `_bytes`."""
    if not isinstance(value, bytes):
        return value.tolist()
    return {"b64": base64.b64encode(value).decode()} if key.endswith("_bytes") else value.decode()


def serve(name: str, folder: Path) -> None:
    model = Model(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                if self.path != f"/v1/models/{name}:predict":
                    raise ValueError(f"no model at {self.path}")
                status, answer = 200, model.predict(json.loads(body))
            except (ValueError, KeyError, tf.errors.OpError) as error:
                status, answer = 400, {"error": str(error)}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    print(f"ready {server.server_port} warmed {model.warmed}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
