/** A driver of jobs on real files and real processes, with content from a memory exchange. */
import { EventEmitter, once } from "node:events";
import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Instruction } from "../../../protocol/directive.ts";
import {
  endpointIdOf,
  packageRefOfTargetPath,
  parsePackageRef,
  parseSwarmTag,
  targetPathOf,
} from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { matchOf, parseManifest } from "../../../protocol/manifest.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import type { JobReport, Report } from "../../../protocol/report.ts";
import { JobDriver } from "../../../node/actions/job-driver.ts";
import type { ReportSink } from "../../../node/actions/job-parts.ts";
import { HalfMade } from "../../../node/content/half-made.ts";
import { openJournalFile } from "../../../node/content/journal-file.ts";
import { Journal } from "../../../node/content/journal.ts";
import { LocalPackages } from "../../../node/content/local-packages.ts";
import type { Assembly, FragmentStore } from "../../../node/content/ports.ts";
import type { JournalRecord } from "../../../node/core/journal-state.ts";
import type { VerifiedInstruction } from "../../../node/trust/verified-instruction.ts";
import {
  digestOf,
  MemoryExchange,
  MemoryFragmentStore,
  memoryPackage,
  type MemoryFile,
  type MemoryPackage,
} from "../../support/memory-content.ts";
import { MemoryMachine } from "../../support/memory-machine.ts";

export const RUN_FIELDS = { timeoutSec: 20, successCodes: [0] };
const log = pino({ level: "silent" });

export interface JobFixture extends AsyncDisposable {
  readonly dataDir: string;
  readonly driver: JobDriver;
  readonly reports: readonly JobReport[];
  readonly refusals: readonly string[];
  readonly exchange: MemoryExchange;
  readonly machine: MemoryMachine;
  readonly journal: Journal;
  /** Stands for the run around the driver. */
  listen(listener: Listener): void;
  /** Directs one job and resolves with its next final report. */
  run(pack: MemoryPackage, change?: Partial<Instruction>): Promise<JobReport>;
  /** Directs without waiting. */
  direct(pack: MemoryPackage, change?: Partial<Instruction>): void;
  /** Directs several jobs at once, in this order. */
  directAll(orders: readonly Order[]): void;
  /** The next final report of one job. */
  ended(job: string): Promise<JobReport>;
  reported(isMeant: (report: JobReport) => boolean): Promise<JobReport>;
  /** Resolves when no job is under way. */
  quiet(): Promise<void>;
  /** Ends the driver as a kill of the agent would; its folder stays. */
  close(): Promise<void>;
  /** Closes, and starts another driver on the same folder. */
  restarted(): Promise<JobFixture>;
}

export interface Order {
  readonly pack: MemoryPackage;
  readonly change?: Partial<Instruction>;
}

/** A package under another name, with rules. */
export function packageOf(
  pack: MemoryPackage,
  ref: string,
  rules: PackageRules = {},
  level = 5,
): MemoryPackage {
  return { ...pack, manifest: { ...pack.manifest, ...parsePackageRef(ref), rules, level } };
}

/** Places that every fixture of one test shares. */
export interface FixtureParts {
  readonly dataDir?: string;
  readonly exchange?: MemoryExchange;
  readonly manifests?: Map<string, Buffer>;
  readonly store?: FragmentStore;
  readonly machine?: MemoryMachine;
  /** Absent: fragments stay. */
  readonly assembly?: Omit<Assembly, "store">;
  readonly publicAddress?: string;
  readonly retryBaseMs?: number;
  readonly stallMs?: number;
  /** Stands for both clocks of the node. */
  readonly now?: () => number;
  /** The process dies at its so manieth report: before it is written, or right after. */
  readonly death?: { readonly at: number; readonly isWritten: boolean };
}

export function script(path: string, text: string): MemoryFile {
  return { path, text: `#!/bin/sh\n${text}\n`, isExecutable: true };
}

export { memoryPackage };

export async function jobFixture(shared: FixtureParts = {}): Promise<JobFixture> {
  const folder = shared.dataDir ?? (await mkdtemp(join(tmpdir(), "branchline-node-")));
  for (const name of ["tmp", "runs", "store"]) await mkdir(join(folder, name), { recursive: true });
  const journal = await Journal.open(await openJournalFile(join(folder, "journal.jsonl")), log);
  const board = new ReportBoard(journal, shared.death);
  const refusals: string[] = [];
  let listener = deaf;
  const activities = new EventEmitter();
  const manifests = shared.manifests ?? new Map<string, Buffer>();
  const store = shared.store ?? new MemoryFragmentStore();
  const exchange = shared.exchange ?? new MemoryExchange(store, new Map());
  const machine = shared.machine ?? new MemoryMachine();
  const { publicAddress } = shared;
  const halfMade = await HalfMade.open(join(folder, "assemblies"));
  const driver = new JobDriver(
    {
      endpoint: endpointIdOf(Buffer.alloc(32, 7)),
      dataDir: folder,
      journal,
      outbox: board,
      manifests: {
        get: async (digest) => manifests.get(digest) ?? Buffer.alloc(0),
        held: async (digest) => manifests.get(digest),
      },
      trust: { verifyManifest: (bytes) => parseManifest(JSON.parse(bytes.toString("utf8"))) },
      exchange,
      store,
      cache: { roomFor: async () => ({ store, ...(shared.assembly ?? { isConsuming: false }) }) },
      halfMade,
      packages: await LocalPackages.open(join(folder, "sources")),
      freeMemoryBytes: () => 2 ** 30,
      environment: { PATH: process.env["PATH"] ?? "", LANG: "C.UTF-8" },
      placement: () => ({
        site: undefined,
        dp: undefined,
        ...(publicAddress === undefined ? {} : { publicAddress }),
      }),
      onRefusal: (refusal) => refusals.push(refusal.code),
      now: shared.now ?? Date.now,
      clock: shared.now ?? Date.now,
      retryBaseMs: shared.retryBaseMs ?? 60_000,
      stallMs: shared.stallMs ?? 60_000,
      machine,
      onActivity: (activity) => {
        listener(activity);
        activities.emit(activity);
      },
      onAgentError: () => undefined,
    },
    log,
  );
  await driver.recover();
  const close = async (): Promise<void> => {
    await driver[Symbol.asyncDispose]();
    await halfMade[Symbol.asyncDispose]();
    await journal[Symbol.asyncDispose]();
  };
  const fixture: JobFixture = {
    dataDir: folder,
    driver,
    reports: board.reports,
    refusals,
    exchange,
    machine,
    journal,
    listen: (next) => {
      listener = next;
    },
    direct: (pack, change) =>
      fixture.directAll([change === undefined ? { pack } : { pack, change }]),
    directAll: (orders) => {
      const instructions = orders.map(({ pack, change }, sequence) => {
        const bytes = canonicalBytes(pack.manifest);
        manifests.set(digestOf(bytes), bytes);
        exchange.add(pack.fragments);
        return verified(pack, bytes, { sequence, ...change });
      });
      driver.direct(instructions);
    },
    run: async (pack, change) => {
      fixture.direct(pack, change);
      return fixture.reported((report) => report.outcome !== undefined);
    },
    reported: async (isMeant) => board.reported(isMeant),
    ended: async (job) =>
      board.reported((report) => report.job === job && report.outcome !== undefined),
    quiet: async () => {
      while (!driver.isQuiet) await once(activities, "quiet");
    },
    close,
    restarted: async () => {
      await close();
      const { death: _death, ...parts } = shared;
      return jobFixture({ ...parts, dataDir: folder, exchange, manifests, store, machine });
    },
    [Symbol.asyncDispose]: async () => {
      await close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fixture;
}

type Listener = (activity: "acted" | "quiet") => void;
const deaf: Listener = () => undefined;

/** The outbox: what was told, in order, and whoever waits for it. */
class ReportBoard implements ReportSink {
  readonly reports: JobReport[] = [];
  readonly #journal: Journal;
  readonly #waiting = new Set<() => void>();
  readonly #death: FixtureParts["death"];
  #order: number;
  #posts = 0;

  constructor(journal: Journal, death: FixtureParts["death"]) {
    this.#journal = journal;
    this.#death = death;
    this.#order = journal.state.order;
  }

  nextOrder(): number {
    this.#order += 1;
    return this.#order;
  }

  async post(report: Report, ...records: readonly JournalRecord[]): Promise<void> {
    this.#posts += 1;
    const { at, isWritten } = this.#death ?? { at: Number.POSITIVE_INFINITY, isWritten: false };
    if (this.#posts > at || (this.#posts === at && !isWritten)) throw new Error("killed");
    await this.#journal.append(...records, { type: "report", report });
    if (this.#posts === at) throw new Error("killed");
    if (report.kind === "job") this.mention(report);
  }

  mention(report: JobReport): void {
    this.reports.push(report);
    for (const look of this.#waiting) look();
  }

  async reported(isMeant: (report: JobReport) => boolean): Promise<JobReport> {
    const found = Promise.withResolvers<JobReport>();
    const look = (): void => {
      const report = this.reports.find(isMeant);
      if (report !== undefined) found.resolve(report);
    };
    this.#waiting.add(look);
    look();
    return found.promise;
  }
}

function verified(
  pack: MemoryPackage,
  bytes: Buffer,
  change: Partial<Instruction> = {},
): VerifiedInstruction {
  const targetPath = targetPathOf(pack.manifest);
  return {
    ref: packageRefOfTargetPath(targetPath),
    targetPath,
    manifestDigest: digestOf(bytes),
    manifestBytes: bytes.length,
    match: matchOf(pack.manifest),
    swarm: parseSwarmTag("ab".repeat(32)),
    instruction: {
      job: "job",
      purpose: "perform",
      revision: "aaaaaaaaaaaaaaaa",
      sequence: 0,
      attemptLimit: 1,
      ...change,
    },
  };
}

export async function textOf(...path: readonly string[]): Promise<string> {
  return readFile(join(...path), "utf8");
}

export async function namesIn(...path: readonly string[]): Promise<readonly string[]> {
  return readdir(join(...path));
}
