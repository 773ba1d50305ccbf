/**
 * A coordinator, nodes and the command line inside the test's own process, over real sockets, folders and
 * clocks: what `processes.ts` does with programs, at a tenth of the time.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { readEnvironment } from "../../coordinator/cli/config.ts";
import { buildProgram, runProgram } from "../../coordinator/cli/program.ts";
import type { Session } from "../../coordinator/cli/terminal.ts";
import { runCoordinator } from "../../coordinator/main.ts";
import { runNode } from "../../node/main.ts";
import { parseStatus, type Status } from "../../protocol/operator-api.ts";

const log = pino({ level: "silent" });
const PASSPHRASE = "for tests and demonstrations only";

// Nodes are started by `startNode`.
const noNode = async (): Promise<void> => undefined;

export class OwnProcessFleet implements AsyncDisposable {
  readonly folder: string;
  url = "";
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(): Promise<OwnProcessFleet> {
    const fleet = new OwnProcessFleet(await mkdtemp(join(tmpdir(), "branchline-own-")));
    await fleet.command(["init", "--data", fleet.dataFolder]);
    const ready = Promise.withResolvers<string>();
    const running = runCoordinator({
      dataDir: fleet.dataFolder,
      listen: { host: "127.0.0.1", port: 0 },
      isInsecureHttp: false,
      signal: fleet.#stop.signal,
      log,
      onReady: ({ url }) => ready.resolve(url),
    });
    running.catch((error: unknown) => ready.reject(error));
    fleet.#running.push(running);
    fleet.url = await ready.promise;
    return fleet;
  }

  get dataFolder(): string {
    return join(this.folder, "coordinator");
  }

  nodeFolder(name: string): string {
    return join(this.folder, "nodes", name);
  }

  /** Resolves when the node has joined and is about to check in. */
  async startNode(name: string, site: string, host: string): Promise<void> {
    const { token } = (await this.json(["token", "create", "--site", site])) as { token: string };
    const dataDir = this.nodeFolder(name);
    await mkdir(dataDir, { recursive: true });
    const ready = Promise.withResolvers<void>();
    const running = runNode({
      dataDir,
      coordinatorUrl: this.url,
      joinToken: token,
      name,
      listen: { host, port: 0 },
      checkInMs: 500,
      signal: this.#stop.signal,
      log,
      onReady: () => ready.resolve(),
    });
    running.catch((error: unknown) => ready.reject(error));
    this.#running.push(running);
    await ready.promise;
  }

  /** One operator command that must work; its standard output. */
  async command(args: readonly string[]): Promise<string> {
    let out = "";
    let err = "";
    const session: Session = {
      terminal: {
        writeOut: (text) => void (out += text),
        writeErr: (text) => void (err += text),
        isOutTty: false,
        isErrTty: false,
        isInTty: false,
        columns: 120,
        styleOut: (_style, text) => text,
        styleErr: (_style, text) => text,
        askHidden: async () => undefined,
      },
      environment: readEnvironment(
        { BRANCHLINE_DATA: this.dataFolder, BRANCHLINE_PASSPHRASE: PASSPHRASE },
        join(this.folder, "home"),
      ),
      signal: this.#stop.signal,
      nowMs: () => Date.now(),
    };
    const program = buildProgram(session, "0", { node: noNode, launch: noNode });
    const exitCode = await runProgram(program, args, session);
    if (exitCode !== 0) throw new Error(`branchline ${args.join(" ")}: ${err}`);
    return out;
  }

  async json(args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.command([...args, "--json"])) as unknown;
  }

  async status(): Promise<Status> {
    return parseStatus(await this.json(["status"]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
