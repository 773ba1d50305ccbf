/** Which agent of an office takes most over its line right now, by what the kernel has of its connections. */
import { setTimeout as sleep } from "node:timers/promises";
import { COORDINATOR_HOST, type Lab } from "../../../test/support/lab.ts";
import { outputOf } from "../../../test/support/processes.ts";
import { placeOf } from "../swarm/stage.ts";

/** A few fragments of a slow line. */
const SAMPLE_MS = 500;

export async function busiestHolder(lab: Lab, names: readonly string[]): Promise<string> {
  const before = await receivedBytes(lab, names);
  await sleep(SAMPLE_MS);
  const after = await receivedBytes(lab, names);
  const taken = names.map((name, at) => ({ name, bytes: (after[at] ?? 0) - (before[at] ?? 0) }));
  const [most] = taken.toSorted((one, other) => other.bytes - one.bytes);
  if (most === undefined) throw new Error("nobody takes anything over the line");
  return most.name;
}

async function receivedBytes(lab: Lab, names: readonly string[]): Promise<readonly number[]> {
  return Promise.all(names.map(async (name) => receivedOf(lab, name)));
}

async function receivedOf(lab: Lab, name: string): Promise<number> {
  const { site, host } = placeOf(name);
  const [file = "", ...rest] = lab.host(site, host);
  const words = ["ss", "--no-header", "--tcp", "--info", "dst", COORDINATOR_HOST];
  const { stdout } = await outputOf(file, [...rest, ...words]);
  return [...stdout.matchAll(/bytes_received:(\d+)/gu)].reduce(
    (sum, [, bytes]) => sum + Number(bytes),
    0,
  );
}
