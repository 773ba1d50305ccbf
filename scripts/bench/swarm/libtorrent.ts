/** A libtorrent 2 swarm: one seeder at the head office, local service discovery, all peers told of all. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withCoreShare } from "../../../test/support/core-load.ts";
import { COORDINATOR_HOST, type Lab } from "../../../test/support/lab.ts";
import { writeNoise } from "../../../test/support/processes.ts";
import { buildLab, cpuSecondsOf, figuresOf, wanDown, type Course, type Figures } from "./course.ts";

/** Debian's Python, the one that python3-libtorrent belongs to. */
const PYTHON = "/usr/bin/python3";
const PEER = join(import.meta.dirname, "libtorrent-peer.py");
const PORT = 6881;

export async function runLibtorrent(course: Course): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), "branchline-torrent-"));
  await using lab = await buildLab(course);
  const peers: ChildProcess[] = [];
  try {
    await mkdir(join(folder, "seed"));
    await writeNoise(join(folder, "seed/package.bin"), course.sizeBytes, 7);
    const exitCode: unknown = (await once(start([], ["make", folder]), "exit")).at(0);
    if (exitCode !== 0) throw new Error("python3-libtorrent is not installed");
    peers.push(start(lab.headOffice, ["seed", folder, `${COORDINATOR_HOST}:${PORT}`]));
    await sleep(2000);
    return await measured(course, lab, folder, peers);
  } finally {
    for (const peer of peers) peer.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}

async function measured(
  course: Course,
  lab: Lab,
  folder: string,
  peers: ChildProcess[],
): Promise<Figures> {
  const leeches = leechesOf(course, lab, folder);
  peers.push(...leeches);
  // Sessions listen before the clock starts, as the nodes of Branchline do.
  await Promise.all(leeches.map(said));
  const pids = peers.map(({ pid }) => pid ?? -1);
  const [before, cpuBefore] = [await wanDown(lab), await cpuSecondsOf(pids)];
  const begin = performance.now();
  const { coreShare } = await withCoreShare(async () => {
    const done = leeches.map(said);
    for (const leech of leeches) leech.stdin?.write("go\n");
    await Promise.all(done);
  });
  const seconds = (performance.now() - begin) / 1000;
  const after = await wanDown(lab);
  return figuresOf(course, {
    coreShare,
    seconds,
    wanBytes: after.map((bytes, site) => bytes - (before[site] ?? 0)),
    cpuSeconds: (await cpuSecondsOf(pids)) - cpuBefore,
  });
}

function leechesOf(course: Course, lab: Lab, folder: string): readonly ChildProcess[] {
  const sites = Array.from({ length: course.sites }, (_none, site) => site);
  return sites.flatMap((site) => {
    const addresses = Array.from(
      { length: course.hosts },
      (_none, host) => `${lab.address(site, host)}:${PORT}`,
    );
    return addresses.map((address, host) => {
      const others = addresses.filter((other) => other !== address);
      const words = ["leech", folder, address, `${COORDINATOR_HOST}:${PORT}`, ...others];
      return start(lab.host(site, host), words);
    });
  });
}

async function said(peer: ChildProcess): Promise<void> {
  await once(peer.stdout ?? peer, "data");
}

function start(prefix: readonly string[], words: readonly string[]): ChildProcess {
  const [file = PYTHON, ...rest] = [...prefix, PYTHON, PEER, ...words];
  return spawn(file, rest, { stdio: ["pipe", "pipe", "inherit"] });
}
