/**
 * Real processes of Branchline in one private folder: a coordinator, nodes and the command line, run as
 * an operator runs them. The end-to-end tests, the lab, the demo and the benches stand on it.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseStatus, type Status } from "../../protocol/operator-api.ts";

export const PROJECT_FOLDER = join(import.meta.dirname, "../..");
/** Starts a program of the project with the flags and the environment that it has at an operator's. */
export const RUN = join(PROJECT_FOLDER, "scripts/run");
const STOP_GRACE_MS = 10_000;
const POLL_MS = 300;

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Words in front of a command that run it elsewhere, such as `ip netns exec NAME`. */
export type Prefix = readonly string[];

export interface FleetOptions {
  /** Address that the coordinator listens on and the nodes dial. */
  readonly host?: string;
  /** Where the coordinator and the command line run. */
  readonly prefix?: Prefix;
  /** More flags of `branchline coordinator`. */
  readonly coordinatorFlags?: readonly string[];
  /** More environment of `branchline coordinator`. */
  readonly coordinatorEnvironment?: Readonly<Record<string, string>>;
}

export interface NodeOptions {
  readonly name: string;
  readonly site?: string;
  /** HOST:PORT for the exchange; the host also is one of the node's own addresses. */
  readonly listen: string;
  readonly prefix?: Prefix;
  readonly checkIn?: string;
  /** Join token; made for `site` where it is left out and the node has not joined. */
  readonly token?: string;
  /** Address of the coordinator, where it is not the true one. */
  readonly coordinator?: string;
  /** More flags of `branchline node`. */
  readonly flags?: readonly string[];
}

/** One started process and its log file. */
export class Program {
  readonly name: string;
  readonly logPath: string;
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;

  constructor(name: string, child: ChildProcess, logPath: string) {
    this.name = name;
    this.logPath = logPath;
    this.#child = child;
    this.ended = new Promise((resolve) => {
      child.once("error", () => resolve(-1));
      child.once("exit", (code) => resolve(code ?? -1));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The exit code after SIGTERM; a program that does not leave in time is killed. */
  async stop(): Promise<number> {
    if (!this.isRunning) return this.ended;
    this.#child.kill("SIGTERM");
    const cancel = new AbortController();
    const late = sleep(STOP_GRACE_MS, undefined, { signal: cancel.signal }).then(
      () => this.#child.kill("SIGKILL"),
      () => false,
    );
    const exitCode = await this.ended;
    cancel.abort();
    await late;
    return exitCode;
  }

  /** Kill -9: what a power cut looks like to the process. */
  async kill(): Promise<void> {
    this.killNow();
    await this.ended;
  }

  killNow(): void {
    this.#child.kill("SIGKILL");
  }

  async log(): Promise<string> {
    return readFile(this.logPath, "utf8");
  }
}

/** A coordinator with its nodes. Disposal ends every process and removes the folder. */
export class Fleet implements AsyncDisposable {
  readonly folder: string;
  readonly url: string;
  readonly options: FleetOptions;
  readonly nodes = new Map<string, Program>();
  coordinator: Program | undefined;
  #isClosed = false;
  readonly #joined = new Set<string>();
  readonly #tokens = new Map<string, string>();
  readonly #onExit = (): void => {
    for (const program of this.#programs()) program.killNow();
  };

  private constructor(folder: string, url: string, options: FleetOptions) {
    this.folder = folder;
    this.url = url;
    this.options = options;
    process.on("exit", this.#onExit);
  }

  /** Initialises a fleet in a new folder and starts its coordinator. */
  static async start(options: FleetOptions = {}): Promise<Fleet> {
    const folder = await mkdtemp(join(tmpdir(), "branchline-"));
    const host = options.host ?? "127.0.0.1";
    const port = options.prefix === undefined ? await freePort(host) : 8443;
    const isPlain = options.coordinatorFlags?.includes("--insecure-http") ?? false;
    const url = `${isPlain ? "http" : "https"}://${host}:${port}`;
    const fleet = new Fleet(folder, url, options);
    try {
      await mkdir(join(folder, "logs"));
      await mkdir(join(folder, "home"));
      await mkdir(join(folder, "tmp"));
      await fleet.command(["init", "--data", fleet.dataFolder]);
      await fleet.startCoordinator();
      return fleet;
    } catch (cause) {
      await fleet[Symbol.asyncDispose]();
      throw cause;
    }
  }

  get dataFolder(): string {
    return join(this.folder, "coordinator");
  }

  async startCoordinator(): Promise<void> {
    const { host, port } = new URL(this.url);
    const listen = port === "" ? `${host}:443` : host;
    const flags = this.options.coordinatorFlags ?? [];
    this.coordinator = await this.#startProgram(
      "coordinator",
      ["coordinator", "--data", this.dataFolder, "--listen", listen, ...flags],
      this.options.prefix ?? [],
      this.options.coordinatorEnvironment ?? {},
    );
    await until("the coordinator answers", 60_000, async () => {
      await this.#refuseEnded(this.coordinator);
      const answer = await this.run(["status", "--json"]);
      if (answer.stderr.includes("DOCUMENT_INVALID")) throw new Error(answer.stderr);
      return answer.exitCode === 0 ? true : undefined;
    });
  }

  nodeFolder(name: string): string {
    return join(this.folder, "nodes", name);
  }

  /** Starts a node; the first start joins it with a token of its site. */
  async startNode(options: NodeOptions): Promise<Program> {
    const folder = this.nodeFolder(options.name);
    await mkdir(folder, { recursive: true });
    const token = options.token ?? (await this.#tokenFor(options));
    const program = await this.#startProgram(
      options.name,
      [
        "node",
        ...words({ data: folder, coordinator: options.coordinator ?? this.url, join: token }),
        ...words({
          listen: options.listen,
          name: options.name,
          "check-in": options.checkIn ?? "1s",
        }),
        ...(options.flags ?? []),
      ],
      options.prefix ?? [],
      {},
    );
    this.nodes.set(options.name, program);
    return program;
  }

  /** Resolves when all named nodes have checked in. */
  async joined(names: readonly string[], timeoutMs = 90_000): Promise<Status> {
    return until(`check-ins of ${names.join(", ")}`, timeoutMs, async () => {
      for (const name of names) await this.#refuseEnded(this.nodes.get(name));
      const status = await this.status();
      const seen = status.endpoints.filter(({ lastSeen }) => lastSeen !== null);
      const isComplete = names.every((name) => seen.some((endpoint) => endpoint.name === name));
      return isComplete ? status : undefined;
    });
  }

  /** One operator command; never rejects because of its exit code. */
  async run(args: readonly string[]): Promise<CommandResult> {
    const [file, rest] = commandLine(this.options.prefix ?? [], args);
    const env = { ...this.environment(), BRANCHLINE_DATA: this.dataFolder };
    return outputOf(file, rest, env);
  }

  /** One operator command that must work; its standard output. */
  async command(args: readonly string[]): Promise<string> {
    const result = await this.run(args);
    if (result.exitCode !== 0) {
      const said = `${result.stderr}${result.stdout}`.trim();
      throw new Error(`branchline ${args.join(" ")} ended with ${result.exitCode}: ${said}`);
    }
    return result.stdout;
  }

  async json(args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.command([...args, "--json"])) as unknown;
  }

  async status(): Promise<Status> {
    return parseStatus(await this.json(["status"]));
  }

  /** Environment of every process of this fleet: nothing outside the folder is read or written. */
  environment(): Record<string, string> {
    return {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: join(this.folder, "home"),
      XDG_CONFIG_HOME: join(this.folder, "home/.config"),
      TMPDIR: join(this.folder, "tmp"),
      BRANCHLINE_PASSPHRASE: "for tests and demonstrations only",
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.nodes.values()].map((program) => program.stop()));
    await this.coordinator?.stop();
    process.off("exit", this.#onExit);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  async #tokenFor(options: NodeOptions): Promise<string | undefined> {
    if (this.#joined.has(options.name) || options.site === undefined) return undefined;
    this.#joined.add(options.name);
    const known = this.#tokens.get(options.site);
    if (known !== undefined) return known;
    const answer = await this.json(["token", "create", "--site", options.site, "--uses", "100"]);
    const token = (answer as { readonly token: string }).token;
    this.#tokens.set(options.site, token);
    return token;
  }

  async #startProgram(
    name: string,
    args: readonly string[],
    prefix: Prefix,
    environment: Readonly<Record<string, string>>,
  ): Promise<Program> {
    const logPath = join(this.folder, "logs", `${name}.log`);
    await using log = await open(logPath, "a");
    const [file, rest] = commandLine(prefix, args);
    if (this.#isClosed) throw new Error(`${name} is not started: the fleet is closed`);
    const child = spawn(file, rest, {
      env: { ...this.environment(), ...environment },
      cwd: this.folder,
      stdio: ["ignore", log.fd, log.fd],
    });
    return new Program(name, child, logPath);
  }

  async #refuseEnded(program: Program | undefined): Promise<void> {
    if (program === undefined || program.isRunning) return;
    const tail = (await program.log()).slice(-2000);
    throw new Error(`${program.name} ended on its own: ${tail}`);
  }

  #programs(): readonly Program[] {
    const nodes = [...this.nodes.values()];
    return this.coordinator === undefined ? nodes : [...nodes, this.coordinator];
  }
}

/** Polls `probe` until it gives a value. The name tells what was waited for when time is up. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined>,
  pauseMs = POLL_MS,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(pauseMs);
  }
}

/** Runs a program to its end and keeps what it printed. */
export async function outputOf(
  file: string,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(env === undefined ? {} : { env }),
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? -1));
    }),
  ]);
  return { exitCode, stdout, stderr };
}

/** After so much the numbers below come again. */
const NOISE_PERIOD_BYTES = 2 ** 34;

/** A file of `sizeBytes` that no compressor makes smaller, the same for the same seed. */
export async function writeNoise(path: string, sizeBytes: number, seed: number): Promise<void> {
  const file = createWriteStream(path);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let left = sizeBytes; left > 0;) {
    const round = Math.floor((sizeBytes - left) / NOISE_PERIOD_BYTES);
    const block = Buffer.alloc(Math.min(left, 1024 * 1024));
    for (let at = 0; at + 4 <= block.length; at += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      block.writeInt32LE((state ^ round) | 0, at);
    }
    left -= block.length;
    if (!file.write(block)) await new Promise((resolve) => file.once("drain", resolve));
  }
  file.end();
  await finished(file);
}

function words(flags: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(flags).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString("utf8");
}

function commandLine(prefix: Prefix, args: readonly string[]): [string, string[]] {
  const [file = RUN, ...rest] = [...prefix, RUN, "branchline", ...args];
  return [file, rest];
}

async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
