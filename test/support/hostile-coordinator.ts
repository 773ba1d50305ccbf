/**
 * What an attacker can say who has taken over a coordinator with all of its online keys: directives,
 * catalogs and freshness statements with good signatures, for whatever he likes.
 */
import { generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { dataLayout } from "../../coordinator/data-layout.ts";
import { catalogInForce } from "../../coordinator/trust/catalog.ts";
import { signCatalogHead, versionsIn } from "../../coordinator/trust/catalog-head.ts";
import { signDirective, type DirectiveEntry } from "../../coordinator/trust/director.ts";
import { keyOfSeed, parseOnlineKeys, type OnlineKeys } from "../../coordinator/trust/fleet-keys.ts";
import { directiveDigest } from "../../coordinator/trust/statements.ts";
import {
  parseFreshness,
  type CheckInAnswer,
  type Freshness,
  type MetadataFiles,
} from "../../protocol/check-in.ts";
import { peekStatement, signStatement } from "../../protocol/dsse.ts";
import {
  parseDigest,
  parsePackageRef,
  parseSwarmTag,
  targetPathOf,
  type EndpointId,
} from "../../protocol/ids.ts";
import { canonicalBytes } from "../../protocol/json.ts";
import { matchOf, parseManifest, type Manifest } from "../../protocol/manifest.ts";
import { parsePublishing } from "../../protocol/operator-api.ts";
import { binOf, instantText, sha256Of, SPEC_VERSION } from "../../protocol/trust/metadata.ts";
import { signedMetadataText } from "../../protocol/trust/signatures.ts";
import type { CheckInSeen } from "./hostile-proxy.ts";
import type { Fleet } from "./processes.ts";

const DAY_MS = 86_400_000;

export class HostileCoordinator {
  readonly #fleet: Fleet;
  readonly #online: OnlineKeys;

  private constructor(fleet: Fleet, online: OnlineKeys) {
    this.#fleet = fleet;
    this.#online = online;
  }

  /** Steals the online keys out of the coordinator's data folder. */
  static async of(fleet: Fleet): Promise<HostileCoordinator> {
    const keys = await readFile(dataLayout(fleet.dataFolder).onlineKeys);
    return new HostileCoordinator(fleet, parseOnlineKeys(keys));
  }

  /** The bytes of a published manifest. */
  async manifestBytes(ref: string): Promise<Buffer> {
    const { packages } = await this.#fleet.status();
    const found = packages.find(({ name, version }) => `${name}@${version}` === ref);
    if (found === undefined) throw new Error(`${ref} is not published`);
    const { manifests } = dataLayout(this.#fleet.dataFolder);
    return readFile(join(manifests, found.manifest.slice(0, 2), found.manifest));
  }

  /** The signed bin of a published package, as a part of the catalog. */
  async binWith(ref: string): Promise<MetadataFiles> {
    const { operator } = dataLayout(this.#fleet.dataFolder);
    const { token } = JSON.parse(await readFile(operator, "utf8")) as { readonly token: string };
    const target = targetPathOf(parsePackageRef(ref));
    const url = `${this.#fleet.url}/v1/catalog/publishing?target=${encodeURIComponent(target)}`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    const { bin, binMetadata = "" } = parsePublishing(await answer.json());
    return { [`${bin}.json`]: binMetadata };
  }

  freshnessOf({ freshness }: CheckInAnswer): Freshness {
    return parseFreshness(peekStatement(freshness, 4096));
  }

  /** The genuine answer with another directive in it, and freshness to match. */
  answer(
    { request, answer }: CheckInSeen,
    change: {
      readonly targets?: readonly DirectiveEntry[];
      readonly device?: EndpointId;
      readonly directive?: MetadataFiles;
      readonly directiveVersion?: number;
      readonly catalog?: MetadataFiles;
    },
  ): CheckInAnswer {
    const version = change.directiveVersion ?? request.held.directive + 1;
    const directive =
      change.directive ??
      signDirective({
        online: this.#online,
        endpoint: change.device ?? request.endpoint,
        version,
        targets: change.targets ?? [],
        nowMs: Date.now(),
      });
    const statement = {
      ...this.freshnessOf(answer),
      directiveVersion: version,
      directiveDigest: directiveDigest(directive),
      ...(change.catalog === undefined ? {} : catalogInForce(change.catalog)),
    };
    const freshness = signStatement("freshness", statement, keyOfSeed(this.#online.director));
    const { catalog = answer.catalog } = change;
    return { ...answer, freshness, directive, ...(catalog === undefined ? {} : { catalog }) };
  }

  /** The catalog with one more target, in a bin that no publisher of the fleet has signed. */
  catalogWith(catalog: MetadataFiles, entry: DirectiveEntry): MetadataFiles {
    const bin = `${binOf(entry.path)}.json`;
    const versions = versionsIn(catalog);
    const version = (versions[bin] ?? 0) + 1;
    const { length, sha256, path } = entry;
    const target = { length, hashes: { sha256 }, custom: { match: entry.custom.match } };
    const signed = {
      _type: "targets",
      spec_version: SPEC_VERSION,
      version,
      expires: instantText(Date.now() + 90 * DAY_MS),
      targets: { [path]: target },
    };
    const text = signedMetadataText(signed, [generateKeyPairSync("ed25519").privateKey]);
    const files = { ...catalog, [bin]: text };
    return signCatalogHead(files, { ...versions, [bin]: version }, this.#online, Date.now());
  }
}

/** A directive's order to perform the package of these manifest bytes. */
export function orderOf(bytes: Buffer, change: Partial<DirectiveEntry> = {}): DirectiveEntry {
  const manifest = parseManifest(JSON.parse(bytes.toString("utf8")));
  return {
    path: targetPathOf(manifest),
    length: bytes.length,
    sha256: parseDigest(sha256Of(bytes)),
    custom: {
      match: matchOf(manifest),
      swarm: parseSwarmTag("ab".repeat(32)),
      instructions: [
        {
          job: "perform-of-an-attacker",
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

/** The manifest of a package that nobody has published; its command makes `marker`. */
export function unpublishedManifest(ref: string, marker: string): Buffer {
  const manifest: Manifest = {
    v: 1,
    ...parsePackageRef(ref),
    epoch: 1,
    level: 5,
    action: {
      kind: "execute",
      command: ["/usr/bin/touch", marker],
      shell: false,
      captureExitCode: true,
      timeoutSec: 60,
      successCodes: [0],
    },
  };
  return canonicalBytes(manifest);
}
