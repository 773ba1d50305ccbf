/** An agent cut down to one run, for tests that kill it: `node agent-program.ts RUN-FOLDER SCRIPT`. */
import { startRun } from "../../../node/actions/process-runner.ts";

const [, , folder = "", script = ""] = process.argv;
await startRun(
  folder,
  {
    executable: "/bin/sh",
    args: ["-c", script],
    folder: "/tmp",
    env: { PATH: process.env["PATH"] ?? "" },
    timeoutMs: 20_000,
    outputLimitBytes: 1000,
    run: "killed",
    successCodes: [0],
    isExitCodeReported: true,
    trace: [],
  },
  new AbortController().signal,
);
