/** A small fleet for the trust tests: real keys, real metadata, a real trust store in a temp folder. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { addPackage, catalogBundle, catalogInForce } from "../../../coordinator/trust/catalog.ts";
import { signDirective, type DirectiveEntry } from "../../../coordinator/trust/director.ts";
import { keyOfSeed } from "../../../coordinator/trust/fleet-keys.ts";
import { initTrust, type FleetTrust } from "../../../coordinator/trust/init-trust.ts";
import { signPackage } from "../../../coordinator/trust/publisher.ts";
import {
  directiveDigest,
  signFreshness,
  signMembership,
  signRoster,
} from "../../../coordinator/trust/statements.ts";
import { publishingView } from "../../../coordinator/trust/catalog.ts";
import type { AcceptResult, TrustStore } from "../../../node/trust/trust-store.ts";
import type { CheckInAnswer, Freshness, MetadataFiles } from "../../../protocol/check-in.ts";
import { rawPublicKey } from "../../../protocol/dsse.ts";
import {
  endpointIdOf,
  parsePackageName,
  parsePackageVersion,
  parseSiteName,
  parseSwarmTag,
  targetPathOf,
  type EndpointId,
} from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { matchOf, type Manifest } from "../../../protocol/manifest.ts";
import { sha256Of } from "../../../protocol/trust/metadata.ts";

/** Long past for the machine that runs the tests: whoever asks its clock finds everything expired. */
export const NOW = Date.UTC(2021, 4, 6, 7, 8, 9);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const NONCE = "0123456789abcdef0123456789abcdef";

export function newEndpoint(): EndpointId {
  return endpointIdOf(rawPublicKey(generateKeyPairSync("ed25519").publicKey));
}

export function manifestOf(product: string, version: string, epoch = 1): Manifest {
  return {
    v: 1,
    name: parsePackageName(`acme/${product}`),
    version: parsePackageVersion(version),
    epoch,
    level: 5,
    action: {
      kind: "execute",
      command: ["echo", `line one\nof ${product}`],
      shell: false,
      captureExitCode: true,
      timeoutSec: 60,
      successCodes: [0],
    },
  };
}

/** Coordinator, publisher and one endpoint. */
export class FleetFixture {
  readonly trust: FleetTrust;
  readonly endpoint = newEndpoint();
  catalog: MetadataFiles;
  directiveVersion = 0;
  nowMs = NOW;

  get director(): KeyObject {
    return keyOfSeed(this.trust.online.director);
  }

  constructor(trust: FleetTrust = initTrust({ nowMs: NOW })) {
    this.trust = trust;
    this.catalog = trust.catalog;
  }

  publish(manifest: Manifest): void {
    const { offline, online } = this.trust;
    const view = publishingView(this.catalog, targetPathOf(manifest));
    const manifestBytes = canonicalBytes(manifest);
    const input = signPackage(offline, view, { manifestBytes, manifest, nowMs: this.nowMs });
    this.catalog = addPackage(this.catalog, input, online, this.nowMs).catalog;
  }

  entry(manifest: Manifest, change: Partial<DirectiveEntry> = {}): DirectiveEntry {
    const bytes = canonicalBytes(manifest);
    return {
      path: targetPathOf(manifest),
      length: bytes.length,
      sha256: sha256Of(bytes),
      custom: {
        match: matchOf(manifest),
        swarm: parseSwarmTag("ab".repeat(32)),
        instructions: [
          {
            job: "job-1",
            purpose: "perform",
            revision: "0123456789abcdef",
            sequence: 0,
            attemptLimit: 3,
          },
        ],
      },
      ...change,
    };
  }

  directive(targets: readonly DirectiveEntry[], endpoint = this.endpoint): MetadataFiles {
    this.directiveVersion++;
    const { online } = this.trust;
    const { directiveVersion: version, nowMs } = this;
    return signDirective({ online, endpoint, version, targets, nowMs });
  }

  freshness(directive: MetadataFiles, change: Partial<Freshness> = {}) {
    return signFreshness(this.director, {
      v: 1,
      endpoint: this.endpoint,
      nonce: NONCE,
      timeMs: this.nowMs,
      directiveVersion: this.directiveVersion,
      directiveDigest: directiveDigest(directive),
      ...catalogInForce(this.catalog),
      ...change,
    });
  }

  membership(change: { notAfterMs?: number; endpoint?: EndpointId; fleet?: string } = {}) {
    return signMembership(this.director, {
      v: 1,
      endpoint: this.endpoint,
      fleet: this.trust.fleet.fleet,
      site: parseSiteName("branch-1"),
      role: "agent",
      notAfterMs: this.nowMs + DAY,
      ...change,
    });
  }

  roster(version: number, endpoint = this.endpoint) {
    return signRoster(this.director, {
      v: 1,
      endpoint,
      version,
      site: parseSiteName("branch-1"),
      epoch: 1,
      criteria: [],
      publicAddress: "198.51.100.7",
      dps: [],
      peers: [],
    });
  }

  /** A complete, honest answer with a new directive of these packages. */
  answer(
    manifests: readonly Manifest[],
  ): CheckInAnswer & { directive: MetadataFiles; catalog: MetadataFiles } {
    const targets = manifests.map((manifest) => this.entry(manifest));
    const directive = this.directive(targets);
    return {
      freshness: this.freshness(directive),
      directive,
      catalog: catalogBundle(
        this.catalog,
        targets.map(({ path }) => path),
        1,
      ),
      roster: this.roster(1),
      membership: this.membership(),
    };
  }

  async accept(store: TrustStore, answer: CheckInAnswer): Promise<AcceptResult> {
    return store.accept(answer, { endpoint: this.endpoint, nonce: NONCE, nowMs: this.nowMs });
  }

  /** Nothing of the refused answer may be seen in the store afterwards. */
  async expectRefused(store: TrustStore, answer: CheckInAnswer, code: string): Promise<void> {
    const before = shown(store);

    const result = await this.accept(store, answer);

    expect(result).toMatchObject({ kind: "refused", code });
    expect(shown(store)).toEqual(before);
  }
}

export async function tempDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "branchline-trust-"));
  return {
    path,
    [Symbol.asyncDispose]: async () => rm(path, { recursive: true, force: true }),
  };
}

/** What a store shows to the outside; equal before and after every refusal. */
export function shown(store: TrustStore): unknown {
  return {
    held: store.held(),
    instructions: store.instructions(),
    roster: store.roster(),
    membership: store.membership(),
  };
}

export function codeOf(result: AcceptResult): string {
  return result.kind === "refused" ? result.code : "accepted";
}

/** A metadata file as tests bend it: every part that any kind of file has. */
export interface LooseFile {
  signatures: unknown[];
  signed: LooseSigned;
}
export interface LooseSigned {
  [field: string]: unknown;
  version: number;
  expires: string;
  targets: Record<string, LooseTarget | undefined>;
  meta: Record<string, unknown>;
  keys: Record<string, LooseKey>;
  roles: Record<"root" | "timestamp" | "snapshot" | "targets", LooseRole>;
  delegations: {
    keys: Record<string, LooseKey>;
    succinct_roles?: LooseRole & { bit_length: number; name_prefix: string };
    roles?: unknown[];
  };
}
export interface LooseTarget {
  length: number;
  hashes: { sha256: string };
  custom: { match: { epoch: number } };
}
export interface LooseKey {
  keytype: string;
  scheme: string;
  keyval: { public: string };
  note?: string;
}
export interface LooseRole {
  keyids: [string, ...string[]];
  threshold: number;
}

export function looseFile(text: string): LooseFile {
  return JSON.parse(text) as LooseFile;
}
