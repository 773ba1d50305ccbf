/**
 * Branchline: a real coordinator and two real nodes at two sites, each with the old version in its store.
 * One gets the new version without patches, the other with them.
 */
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Type, type Static } from "typebox";
import { DigestSchema } from "../../../protocol/ids.ts";
import { parserOf } from "../../../protocol/json.ts";
import { Fleet, outputOf } from "../../../test/support/processes.ts";
import { predictedBytes } from "./prediction.ts";
import type { Versions } from "./pairs.ts";

export interface UpdateBytes {
  /** Sent into the site by the coordinator. */
  readonly fetchedBytes: number;
  readonly predictedBytes: number;
}

export interface BranchlineFigures {
  readonly plain: UpdateBytes;
  readonly delta: UpdateBytes;
  /** The whole new version, for an endpoint that has nothing. */
  readonly wholeBytes: number;
  /** Of `package publish` of the new version, without and with patches. */
  readonly publishSeconds: { readonly plain: number; readonly delta: number };
}

const PublishedSchema = Type.Object({ manifest: DigestSchema, wireBytes: Type.Integer() });
type Published = Static<typeof PublishedSchema>;
const parsePublished = parserOf("the answer of publish", PublishedSchema);

const WAYS = ["plain", "delta"] as const;
type Way = (typeof WAYS)[number];

export async function runBranchline(versions: Versions, trees: Trees): Promise<BranchlineFigures> {
  await using fleet = await Fleet.start();
  for (const [at, way] of WAYS.entries()) {
    await fleet.command(["site", "create", way, "--subnet", `127.20.${at}.0/24`]);
    await fleet.startNode({ name: way, site: way, listen: `127.20.${at}.1:0` });
  }
  await fleet.joined(WAYS);
  const plain = await update(fleet, versions, "plain");
  const delta = await update(fleet, versions, "delta");
  await requireStored(fleet, trees.newFolder);
  return {
    plain: plain.bytes,
    delta: delta.bytes,
    wholeBytes: plain.wholeBytes,
    publishSeconds: { plain: plain.publishSeconds, delta: delta.publishSeconds },
  };
}

export interface Trees {
  readonly oldFolder: string;
  readonly newFolder: string;
}

interface Update {
  readonly bytes: UpdateBytes;
  readonly wholeBytes: number;
  readonly publishSeconds: number;
}

async function update(fleet: Fleet, { pair, oldTgz, newTgz }: Versions, way: Way): Promise<Update> {
  const before = await publish(fleet, way, pair.from, oldTgz, ["--no-delta"]);
  await deploy(fleet, way, pair.from);
  const sentBefore = await sentInto(fleet, way);
  const startedMs = performance.now();
  const flags = way === "plain" ? ["--no-delta"] : ["--delta-from", pair.from];
  const after = await publish(fleet, way, pair.to, newTgz, flags);
  const publishSeconds = (performance.now() - startedMs) / 1000;
  await deploy(fleet, way, pair.to);
  const fetchedBytes = (await sentInto(fleet, way)) - sentBefore;
  const predicted = await predictedBytes(fleet.dataFolder, before.manifest, after.manifest);
  return {
    bytes: { fetchedBytes, predictedBytes: predicted },
    wholeBytes: after.wireBytes,
    publishSeconds,
  };
}

async function publish(
  fleet: Fleet,
  way: Way,
  version: string,
  tgz: string,
  flags: readonly string[],
): Promise<Published> {
  // A copy without the .tgz name is as good: the archive is known by its bytes.
  const source = join(fleet.folder, `${way}-${version}.tgz`);
  await cp(tgz, source);
  const name = ["--name", `bench/${way}`, "--version", version];
  const action = ["--action", "store", "--path", "package"];
  const answer = await fleet.json(["package", "publish", source, ...name, ...action, ...flags]);
  await fleet.command(["package", "activate", `bench/${way}@${version}`]);
  return parsePublished(answer);
}

async function deploy(fleet: Fleet, way: Way, version: string): Promise<void> {
  await fleet.command(["deploy", `bench/${way}@${version}`, "--to", `endpoint:${way}`, "--wait"]);
}

async function sentInto(fleet: Fleet, way: Way): Promise<number> {
  const { sites } = await fleet.status();
  return sites.find(({ name }) => name === way)?.originBytes ?? 0;
}

/** Both nodes hold the new version, byte for byte. */
async function requireStored(fleet: Fleet, folder: string): Promise<void> {
  for (const way of WAYS) {
    const stored = join(fleet.nodeFolder(way), "store/package");
    const { exitCode, stdout } = await outputOf("diff", ["-rq", stored, folder]);
    const count = (await readdir(stored)).length;
    if (exitCode !== 0 || count === 0) throw new Error(`${way} holds other files: ${stdout}`);
  }
}
