/** A driver of jobs on real files and real processes, with content from a memory exchange. */
import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Instruction } from "../../../protocol/directive.ts";
import {
  endpointIdOf,
  packageRefOfTargetPath,
  parseSwarmTag,
  targetPathOf,
} from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { matchOf, parseManifest } from "../../../protocol/manifest.ts";
import type { JobReport } from "../../../protocol/report.ts";
import { JobDriver } from "../../../node/actions/job-driver.ts";
import type { ReportSink } from "../../../node/actions/job-parts.ts";
import { openJournalFile } from "../../../node/content/journal-file.ts";
import { Journal } from "../../../node/content/journal.ts";
import type { VerifiedInstruction } from "../../../node/trust/verified-instruction.ts";
import {
  digestOf,
  MemoryExchange,
  MemoryFragmentStore,
  memoryPackage,
  type MemoryFile,
  type MemoryPackage,
} from "../../support/memory-content.ts";

export const RUN_FIELDS = { timeoutSec: 20, successCodes: [0] };
const log = pino({ level: "silent" });

export interface JobFixture extends AsyncDisposable {
  readonly dataDir: string;
  readonly driver: JobDriver;
  readonly reports: readonly JobReport[];
  readonly refusals: readonly string[];
  readonly exchange: MemoryExchange;
  /** Directs one job and resolves with its next final report. */
  run(pack: MemoryPackage, change?: Partial<Instruction>): Promise<JobReport>;
  /** Directs without waiting. */
  direct(pack: MemoryPackage, change?: Partial<Instruction>): void;
  reported(isMeant: (report: JobReport) => boolean): Promise<JobReport>;
  /** Ends the driver as a kill of the agent would, and starts another on the same folder. */
  restarted(): Promise<JobFixture>;
}

export function script(path: string, text: string): MemoryFile {
  return { path, text: `#!/bin/sh\n${text}\n`, isExecutable: true };
}

export { memoryPackage };

export async function jobFixture(
  dataDir?: string,
  fragments?: MemoryExchange,
  manifests = new Map<string, Buffer>(),
  store = new MemoryFragmentStore(),
): Promise<JobFixture> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), "branchline-node-")));
  for (const name of ["tmp", "runs", "store"]) await mkdir(join(folder, name), { recursive: true });
  const journal = await Journal.open(await openJournalFile(join(folder, "journal.jsonl")), log);
  const reports: JobReport[] = [];
  const refusals: string[] = [];
  const exchange = fragments ?? new MemoryExchange(store, new Map());
  const waiting = new Set<() => void>();
  const told = (report: JobReport): void => {
    reports.push(report);
    for (const look of waiting) look();
  };
  let order = journal.state.order;
  const outbox: ReportSink = {
    nextOrder: () => ++order,
    post: async (report, ...records) => {
      await journal.append(...records, { type: "report", report });
      told(report);
    },
    mention: told,
  };
  const bytesOf = (digest: string): Buffer => manifests.get(digest) ?? Buffer.alloc(0);
  const driver = new JobDriver(
    {
      endpoint: endpointIdOf(Buffer.alloc(32, 7)),
      dataDir: folder,
      journal,
      outbox,
      manifests: {
        get: async (digest) => bytesOf(digest),
        held: async (digest) => manifests.get(digest),
      },
      trust: { verifyManifest: (bytes) => parseManifest(JSON.parse(bytes.toString("utf8"))) },
      exchange,
      store,
      environment: { PATH: process.env["PATH"] ?? "", LANG: "C.UTF-8" },
      placement: () => ({ site: undefined, dp: undefined }),
      onRefusal: (refusal) => refusals.push(refusal.code),
      now: () => Date.now(),
      retryBaseMs: 60_000,
    },
    log,
  );
  await driver.recover();
  const fixture: JobFixture = {
    dataDir: folder,
    driver,
    reports,
    refusals,
    exchange,
    direct: (pack, change) => {
      const bytes = canonicalBytes(pack.manifest);
      manifests.set(digestOf(bytes), bytes);
      exchange.add(pack.fragments);
      driver.direct([verified(pack, bytes, change)]);
    },
    run: async (pack, change) => {
      fixture.direct(pack, change);
      return fixture.reported((report) => report.outcome !== undefined);
    },
    reported: async (isMeant) => {
      const found = Promise.withResolvers<JobReport>();
      const look = (): void => {
        const report = reports.find(isMeant);
        if (report !== undefined) found.resolve(report);
      };
      waiting.add(look);
      look();
      return found.promise;
    },
    restarted: async () => {
      await driver[Symbol.asyncDispose]();
      await journal[Symbol.asyncDispose]();
      return jobFixture(folder, exchange, manifests, store);
    },
    [Symbol.asyncDispose]: async () => {
      await driver[Symbol.asyncDispose]();
      await journal[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fixture;
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
