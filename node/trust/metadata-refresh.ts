/**
 * One run of the TUF library over what an answer carries and what is held: guard first, then tuf-js in a
 * scratch folder that it may treat as its own, then the guard's judgement of expiry (trust 2.5 step 2).
 * Nothing here is trusted storage; the caller commits the files that come back.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Updater, type Fetcher, type TargetFile } from "tuf-js";
import { DownloadHTTPError } from "tuf-js/dist/error.js";
import type { MetadataFiles } from "../../protocol/check-in.ts";
import { DeployError, type ErrorCode } from "../../protocol/errors.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import {
  TUF_ROOT_MAX_BYTES,
  TUF_SNAPSHOT_MAX_BYTES,
  TUF_TARGETS_MAX_BYTES,
  TUF_TIMESTAMP_MAX_BYTES,
} from "../../protocol/limits.ts";
import { guardFile, refuseExpired, type GuardedFile } from "../../protocol/trust/guard.ts";
import { binOf, type Repository } from "../../protocol/trust/metadata.ts";

const BASE_URL = "https://metadata.invalid";
const CONFIG = {
  /** trust M20: the longest chain of roots that is followed. */
  maxRootRotations: 256,
  maxDelegations: 2,
  rootMaxLength: TUF_ROOT_MAX_BYTES,
  timestampMaxLength: TUF_TIMESTAMP_MAX_BYTES,
  snapshotMaxLength: TUF_SNAPSHOT_MAX_BYTES,
  targetsMaxLength: TUF_TARGETS_MAX_BYTES,
} as const;

export interface RefreshInput {
  readonly repository: Repository;
  /** Trusted files: at least `root.json`. */
  readonly held: MetadataFiles;
  /** Files of the answer, unchecked. */
  readonly received: MetadataFiles;
  /** Whose directive it must be. */
  readonly endpoint: EndpointId;
  /** Never earlier than any time that was signed before (trust M19). */
  readonly referenceMs: number;
  /** Targets to look up; their bins are loaded and verified. */
  readonly targetPaths: readonly string[];
  /** Folder in which a scratch folder may be made. */
  readonly scratchDir: string;
}

export interface Refreshed {
  /** The files that are trusted now, `root.json` among them. */
  readonly files: MetadataFiles;
  /** What the repository says of each target path; absent where it does not know it. */
  readonly targets: ReadonlyMap<string, TargetFile>;
}

/** Throws DeployError with a TRUST_ code; then nothing has changed. */
export async function refreshMetadata(input: RefreshInput): Promise<Refreshed> {
  for (const [name, text] of Object.entries(input.received)) {
    const heldText = input.held[name];
    const heldVersion = heldText === undefined ? 0 : guarded(input, name, heldText).version;
    guarded(input, name, text, heldVersion);
  }
  await mkdir(input.scratchDir, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(input.scratchDir, "refresh-"));
  try {
    for (const [name, text] of Object.entries(input.held))
      await writeFile(join(folder, name), text);
    return await refreshedIn(folder, input);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function refreshedIn(folder: string, input: RefreshInput): Promise<Refreshed> {
  const names = ["root.json", "timestamp.json", "snapshot.json", "targets.json"];
  const targets = new Map<string, TargetFile>();
  const updater = updaterOf(folder, input);
  try {
    await updater.refresh();
    const listed = await listedFiles(folder, input);
    for (const path of input.targetPaths) {
      const bin = `${binOf(path)}.json`;
      // tuf-js stumbles over a bin that the snapshot does not list; such a target does not exist.
      if (!listed.has(bin)) continue;
      const target = await updater.getTargetInfo(path);
      names.push(bin);
      if (target !== undefined) targets.set(path, target);
    }
  } catch (cause) {
    throw refusalOf(cause, input.repository);
  }
  const files: MetadataFiles = {};
  for (const name of new Set(names)) {
    const text = await readFile(join(folder, name), "utf8");
    refuseExpired(guarded(input, name, text), input.referenceMs);
    files[name] = text;
  }
  return { files, targets };
}

function updaterOf(folder: string, input: RefreshInput): Updater {
  const updater = new Updater({
    metadataDir: folder,
    metadataBaseUrl: BASE_URL,
    fetcher: answerFetcher(input),
    config: CONFIG,
  });
  // tuf-js reads the system clock once, at construction. An endpoint whose clock was set back would
  // believe expired files, so its instant is replaced; a tuf-js without this field must not be used.
  const store: unknown = Reflect.get(updater, "trustedSet");
  if (typeof store !== "object" || store === null || !("referenceTime" in store)) {
    throw new Error("this release of tuf-js keeps its reference time elsewhere");
  }
  Reflect.set(store, "referenceTime", new Date(input.referenceMs));
  return updater;
}

// Everything the library may ask for came with the answer; the held timestamp stands in for an absent one.
function answerFetcher(input: RefreshInput): Fetcher {
  const timestamp = input.held["timestamp.json"];
  const files: MetadataFiles = {
    ...(timestamp === undefined ? {} : { "timestamp.json": timestamp }),
    ...input.received,
  };
  return {
    downloadBytes: async (url, maxLength) => {
      const name = decodeURIComponent(new URL(url).pathname.slice(1));
      const text = Object.hasOwn(files, name) ? files[name] : undefined;
      if (text === undefined) throw new DownloadHTTPError(`not in the answer: ${name}`, 404);
      const bytes = Buffer.from(text, "utf8");
      if (bytes.length > maxLength) throw new Error(`${name} is longer than its parent says`);
      return bytes;
    },
    downloadFile: async () => {
      throw new Error("targets are fetched by the swarm, never by the metadata library");
    },
  };
}

async function listedFiles(folder: string, input: RefreshInput): Promise<ReadonlySet<string>> {
  const text = await readFile(join(folder, "snapshot.json"), "utf8");
  const snapshot = guarded(input, "snapshot.json", text);
  return new Set(snapshot.kind === "snapshot" ? Object.keys(snapshot.file.signed.meta) : []);
}

function guarded(
  { repository, endpoint }: RefreshInput,
  name: string,
  text: string,
  heldVersion: number = Number.MAX_SAFE_INTEGER,
): GuardedFile {
  return guardFile(name, text, { repository, endpoint, heldVersion });
}

// tuf-js loses the cause of most errors in a new message, so the message decides; the release is pinned
// exactly and each line has a test.
const REFUSALS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/not in the answer/u, "TRUST_INCOMPLETE"],
  [
    /was signed by \d+\/\d+ keys|no delegation found|Expected hash|Expected length/u,
    "TRUST_SIGNATURE",
  ],
  [/is longer than its parent says/u, "TRUST_SIGNATURE"],
  [/expired/u, "TRUST_EXPIRED"],
  [/less than current|Expected version|match|in new snapshot/u, "TRUST_ROLLBACK"],
];

function refusalOf(cause: unknown, repository: Repository): unknown {
  if (!(cause instanceof Error) || cause instanceof DeployError) return cause;
  const [, code] = REFUSALS.find(([pattern]) => pattern.test(cause.message)) ?? [];
  return new DeployError(
    code ?? "TRUST_METADATA",
    { what: `the ${repository}`, problem: cause.message },
    { cause },
  );
}
