/**
 * Manifests by digest: from this node's disk, else from the coordinator. Bytes that do not hash to the
 * digest leave here never; whether a digest may be used is the trust store's decision.
 */
import { hash } from "node:crypto";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import { readFileIfAny, writeFileDurably } from "./write-file.ts";

/** Fetches a manifest's bytes from the coordinator, unverified and bounded. */
export type FetchManifest = (digest: Digest, signal: AbortSignal) => Promise<Buffer>;

export class ManifestSource {
  readonly #folder: string;
  readonly #fetch: FetchManifest;
  readonly #now: () => number;

  private constructor(folder: string, fetchManifest: FetchManifest, now: () => number) {
    this.#folder = folder;
    this.#fetch = fetchManifest;
    this.#now = now;
  }

  static async open(
    folder: string,
    fetchManifest: FetchManifest,
    now: () => number = Date.now,
  ): Promise<ManifestSource> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new ManifestSource(folder, fetchManifest, now);
  }

  /** Removes what no instruction names and nobody has asked for within `keepMs`. */
  async keepOnly(instructed: Iterable<Digest>, keepMs: number): Promise<void> {
    const kept = new Set<string>(instructed);
    const untilMs = this.#now() - keepMs;
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      if (!kept.has(name) && (await stat(path)).mtimeMs < untilMs) await rm(path, { force: true });
    }
  }

  /** From disk alone. */
  async held(digest: Digest): Promise<Buffer | undefined> {
    const bytes = await readFileIfAny(join(this.#folder, digest));
    return bytes !== undefined && isDigestOf(bytes, digest) ? bytes : undefined;
  }

  /** Throws UPLINK_UNREACHABLE, UPLINK_REFUSED, or SIGNATURE_INVALID where the bytes are not the ones asked for. */
  async get(digest: Digest, signal: AbortSignal): Promise<Buffer> {
    const held = await this.held(digest);
    if (held !== undefined) return held;
    const bytes = await this.#fetch(digest, signal);
    if (!isDigestOf(bytes, digest)) {
      throw new DeployError("SIGNATURE_INVALID", { what: `manifest ${digest}` });
    }
    await writeFileDurably(join(this.#folder, digest), bytes);
    return bytes;
  }
}

function isDigestOf(bytes: Buffer, digest: Digest): boolean {
  return hash("sha256", bytes, "hex") === digest;
}
