/** The branchline command: puts the verbs of all rooms together and runs one. */
import { readFile } from "node:fs/promises";
import { readEnvironment } from "../coordinator/cli/config.ts";
import { EXIT_INTERRUPTED } from "../coordinator/cli/error-text.ts";
import { buildProgram, runProgram } from "../coordinator/cli/program.ts";
import { processTerminal, type Session } from "../coordinator/cli/terminal.ts";

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    // The second Ctrl-C is for whoever cannot wait for an orderly end.
    if (stopping.signal.aborted) process.exit(EXIT_INTERRUPTED);
    stopping.abort();
  });
}
// `branchline status | head` closes the pipe early; that is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

const environment = readEnvironment();
const session: Session = {
  terminal: processTerminal(stopping.signal),
  environment,
  signal: stopping.signal,
  nowMs: () => Date.now(),
};
const surroundings = {
  joinToken: environment.variable("BRANCHLINE_JOIN_TOKEN"),
  logLevel: environment.logLevel,
  signal: stopping.signal,
  writeOut: session.terminal.writeOut,
  writeErr: session.terminal.writeErr,
};
const program = buildProgram(session, await versionText(), {
  node: async (options) => {
    const { runNodeCommand } = await import("../node/command.ts");
    await runNodeCommand(options, surroundings);
  },
  launch: async (ref, options) => {
    const { runLaunchCommand } = await import("../node/launch-command.ts");
    await runLaunchCommand(ref, options, surroundings);
  },
});
process.exitCode = await runProgram(program, process.argv.slice(2), session);

async function versionText(): Promise<string> {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  const found: unknown = JSON.parse(text);
  const isVersioned = typeof found === "object" && found !== null && "version" in found;
  return isVersioned ? String(found.version) : "unknown";
}
