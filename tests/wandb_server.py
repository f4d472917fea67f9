"""A stand-in for the server of Weights & Biases, on loopback.

It answers what the real client, `wandb sweep` and `wandb agent` ask of it, and
keeps what it was told.
"""

import gzip
import http.server
import itertools
import json
import re
import threading

import yaml


class Server:
  """Runs in a thread; `url` is what WANDB_BASE_URL takes.

  Attributes:
    runs: what each run was told, by its id: config, rows of history.
    operations: names of what was asked, in order.
  """

  def __init__(self):
    self.runs = {}
    self.operations = []
    self._sweep = None
    self._points = []
    self.gone = False
    self._http = _Http(("127.0.0.1", 0), _handler(self))
    threading.Thread(target=self._http.serve_forever, daemon=True).start()

  @property
  def url(self):
    return f"http://127.0.0.1:{self._http.server_port}"

  def stop(self):
    """Is gone, as a server that the network has lost."""
    self.gone = True
    self._http.shutdown()
    self._http.server_close()

  def answer(self, query, variables):
    operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
    name = operation.group(1) if operation else query
    self.operations.append(name)
    answer = getattr(self, f"_{name}", None)
    return answer(variables) if answer else {}

  def stream(self, run, told):
    """Takes what a run's file stream is told."""
    files = told.get("files", {})
    lines = files.get("wandb-history.jsonl", {}).get("content", [])
    rows = self.runs.setdefault(run, {"history": []})["history"]
    rows += [json.loads(line) for line in lines]

  def _Viewer(self, variables):
    viewer = {
      "id": "1",
      "entity": "us",
      "username": "us",
      "email": "us@localhost",
      "flags": "{}",
      "teams": {"edges": [{"node": {"name": "us"}}]},
    }
    return {"viewer": viewer}

  def _UpsertSweep(self, variables):
    self._sweep = yaml.safe_load(variables["config"])
    parameters = self._sweep["parameters"]
    values = [x.get("values", [x.get("value")]) for x in parameters.values()]
    self._points = [
      {k: {"value": v} for k, v in zip(parameters, point, strict=True)}
      for point in itertools.product(*values)
    ]
    return {"upsertSweep": {"sweep": self._about_sweep()}}

  def _about_sweep(self):
    project = {"id": "3", "name": "ours", "entity": {"id": "1", "name": "us"}}
    return {
      "id": "2",
      "name": "swept",
      "method": "grid",
      "state": "RUNNING",
      "config": json.dumps(self._sweep),
      "project": project,
      "createdAt": "2026-01-01T00:00:00",
      "heartbeatAt": "2026-01-01T00:00:00",
      "updatedAt": "2026-01-01T00:00:00",
      "description": "",
      "earlyStopJobRunning": False,
      "controller": None,
      "scheduler": None,
      "runs": {"edges": []},
    }

  def _SweepWithRuns(self, variables):
    return {"project": {"sweep": self._about_sweep()}}

  def _GetSweepState(self, variables):
    return {"project": {"sweep": {"state": "RUNNING"}}}

  def _CreateAgent(self, variables):
    return {"createAgent": {"agent": {"id": "4"}}}

  def _Heartbeat(self, variables):
    """Hands out one point of the grid after the other, then says to end."""
    running = json.loads(variables["runState"])
    commands = []
    if not running and self._points:
      run = f"point{len(self._points)}"
      about = {"type": "run", "run_id": run, "args": self._points.pop(0)}
      commands = [{**about, "program": self._sweep["program"]}]
    elif not running:
      commands = [{"type": "exit"}]
    beat = {"agent": {"id": "4"}, "commands": json.dumps(commands)}
    return {"agentHeartbeat": beat}

  def _UpsertBucket(self, variables):
    name = variables.get("name") or "unnamed"
    run = self.runs.setdefault(name, {"history": []})
    for key in ("config", "groupName", "displayName", "tags", "sweep"):
      if variables.get(key) is not None:
        run[key] = variables[key]
    bucket = {
      "id": f"id-{name}",
      "name": name,
      "displayName": name,
      "description": "",
      "config": "{}",
      "sweepName": variables.get("sweep"),
      "historyLineCount": len(run["history"]),
      "project": {
        "id": "3",
        "name": variables.get("project") or "ours",
        "entity": {"id": "1", "name": variables.get("entity") or "us"},
      },
    }
    inserted = not run.get("begun")
    run["begun"] = True
    return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

  def _CreateRunFiles(self, variables):
    files = [
      {"name": name, "uploadUrl": f"{self.url}/upload/{name}"}
      for name in variables["files"]
    ]
    made = {"runID": variables["run"], "uploadHeaders": [], "files": files}
    return {"createRunFiles": made}

  def _RunResumeStatus(self, variables):
    return {"model": {"id": "3", "name": "ours", "bucket": None}}


class _Http(http.server.ThreadingHTTPServer):
  daemon_threads = True

  def handle_error(self, request, client_address):
    """Says nothing: clients are killed."""


def _handler(server):
  class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
      pass

    def do_GET(self):
      self._reply({})

    def do_PUT(self):
      self._read()
      self._reply({})

    def do_POST(self):
      told = self._read()
      if server.gone:  # a connection that was kept open
        self.close_connection = True
        return None
      if self.path == "/graphql":
        asked = json.loads(told)
        data = server.answer(asked["query"], asked.get("variables") or {})
        return self._reply({"data": data})
      stream = re.fullmatch(
        r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path
      )
      if stream:
        server.stream(stream.group(1), json.loads(told))
      return self._reply({})

    def _read(self):
      told = self.rfile.read(int(self.headers.get("Content-Length") or 0))
      packed = self.headers.get("Content-Encoding") == "gzip"
      return gzip.decompress(told) if packed else told

    def _reply(self, answer):
      text = json.dumps(answer).encode()
      self.send_response(200)
      self.send_header("Content-Type", "application/json")
      self.send_header("Content-Length", str(len(text)))
      self.end_headers()
      self.wfile.write(text)

  return Handler
