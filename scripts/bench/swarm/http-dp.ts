/** What many offices have today: nginx at the head office, a caching nginx per site, curl everywhere. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withCoreShare } from "../../../test/support/core-load.ts";
import { COORDINATOR_HOST, type Lab } from "../../../test/support/lab.ts";
import { writeNoise } from "../../../test/support/processes.ts";
import {
  buildLab,
  cpuSecondsOf,
  figuresOf,
  timed,
  wanDown,
  type Course,
  type Figures,
} from "./course.ts";

export async function runHttpDp(course: Course): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), "branchline-http-"));
  await using lab = await buildLab(course, 1);
  const servers: ChildProcess[] = [];
  try {
    await mkdir(join(folder, "content"), { mode: 0o755 });
    await writeNoise(join(folder, "content/package.bin"), course.sizeBytes, 7);
    servers.push(
      await nginx(
        folder,
        lab.headOffice,
        "origin",
        `server { listen 80; root ${folder}/content; }`,
      ),
    );
    for (let site = 0; site < course.sites; site++) {
      servers.push(
        await nginx(folder, lab.host(site, course.hosts), `dp${site}`, proxyOf(folder, site)),
      );
    }
    await sleep(700);
    const run = async () => measured(course, lab, folder, servers);
    const { value, coreShare } = await withCoreShare(run);
    return figuresOf(course, { ...value, coreShare });
  } finally {
    for (const server of servers) server.kill("SIGTERM");
    await rm(folder, { recursive: true, force: true });
  }
}

async function measured(
  course: Course,
  lab: Lab,
  folder: string,
  servers: readonly ChildProcess[],
) {
  const pids = servers.map(({ pid }) => pid ?? -1);
  const [before, cpuBefore] = [await wanDown(lab), await cpuSecondsOf(pids)];
  const begin = performance.now();
  const costs: Promise<number>[] = [];
  for (let site = 0; site < course.sites; site++) {
    const url = `http://${lab.address(site, course.hosts)}/package.bin`;
    for (let host = 0; host < course.hosts; host++) {
      const output = `${folder}/${site}-${host}.bin`;
      costs.push(timed(lab.host(site, host), ["curl", "--silent", "--output", output, url]).cost);
    }
  }
  const clientSeconds = (await Promise.all(costs)).reduce((sum, cost) => sum + cost, 0);
  const seconds = (performance.now() - begin) / 1000;
  const after = await wanDown(lab);
  return {
    seconds,
    wanBytes: after.map((bytes, site) => bytes - (before[site] ?? 0)),
    cpuSeconds: (await cpuSecondsOf(pids)) - cpuBefore + clientSeconds,
  };
}

function proxyOf(folder: string, site: number): string {
  return `proxy_cache_path ${folder}/cache${site} keys_zone=site:10m max_size=20g;
    proxy_temp_path ${folder}/temp${site};
    server { listen 80; location / { proxy_pass http://${COORDINATOR_HOST}; proxy_cache site;
      proxy_cache_valid 200 1h; proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h; } }`;
}

async function nginx(
  folder: string,
  prefix: readonly string[],
  name: string,
  servers: string,
): Promise<ChildProcess> {
  const config = join(folder, `${name}.conf`);
  const text = `user root; worker_processes 1; pid ${folder}/${name}.pid; error_log ${folder}/${name}.log;
    events { worker_connections 4096; } http { access_log off; sendfile on; ${servers} }`;
  await writeFile(config, text);
  return start(prefix, ["nginx", "-c", config, "-g", "daemon off; master_process off;"]);
}

function start(prefix: readonly string[], command: readonly string[]): ChildProcess {
  const [file = "", ...rest] = prefix;
  return spawn(file, [...rest, ...command], { stdio: "ignore" });
}
