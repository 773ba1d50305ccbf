/** The course that every contestant runs: the same offices, the same lines, the same bytes. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Lab } from "../../../test/support/lab.ts";
import { middleOf } from "./median.ts";

export interface Course {
  readonly sites: number;
  readonly hosts: number;
  readonly sizeBytes: number;
  /** Rates as `tc` writes them, such as 20mbit. */
  readonly wan: string;
  readonly lan: string;
}

export interface Figures {
  /** Last endpoint, in units of package bytes ÷ line rate. */
  readonly time: number;
  /** Bytes over a site's line ÷ package bytes, the worst site. */
  readonly wan: number;
  /** CPU seconds of all processes, both ends of every hop, ÷ delivered gigabytes. */
  readonly cpuSecondsPerGb: number;
  /** The busiest core's share of busy time, whoever kept it busy. */
  readonly coreShare: number;
}

export type Contest = (course: Course) => Promise<Figures>;

const RATE_UNITS: Readonly<Record<string, number>> = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };
/** Jiffies of /proc/PID/stat per second on Linux. */
const CLOCK_TICKS = 100;

export async function buildLab(course: Course, extraHosts = 0): Promise<Lab> {
  const { sites, hosts, wan, lan } = course;
  return Lab.build({ sites, hosts: hosts + extraHosts, wan, lan });
}

export function figuresOf(
  course: Course,
  measured: {
    readonly seconds: number;
    readonly wanBytes: readonly number[];
    readonly cpuSeconds: number;
    readonly coreShare: number;
  },
): Figures {
  const deliveredGb = (course.sizeBytes * course.sites * course.hosts) / 1e9;
  return {
    time: rounded(measured.seconds / bestSeconds(course.sizeBytes, course.wan)),
    wan: rounded(Math.max(...measured.wanBytes) / course.sizeBytes),
    cpuSecondsPerGb: rounded(measured.cpuSeconds / deliveredGb),
    coreShare: rounded(measured.coreShare),
  };
}

/** What a line of that rate needs for so many bytes, without any header. */
export function bestSeconds(sizeBytes: number, rate: string): number {
  return (sizeBytes * 8) / bitsPerSecond(rate);
}

export function medianOf(runs: readonly Figures[]): Figures {
  return ofEach(runs, middleOf);
}

export function worstOf(runs: readonly Figures[]): Figures {
  return ofEach(runs, (values) => Math.max(...values));
}

function ofEach(runs: readonly Figures[], one: (values: readonly number[]) => number): Figures {
  return {
    time: one(runs.map(({ time }) => time)),
    wan: one(runs.map(({ wan }) => wan)),
    cpuSecondsPerGb: one(runs.map(({ cpuSecondsPerGb }) => cpuSecondsPerGb)),
    coreShare: one(runs.map(({ coreShare }) => coreShare)),
  };
}

/** Bytes that came into each site so far. */
export async function wanDown(lab: Lab): Promise<readonly number[]> {
  const sites = Array.from({ length: lab.options.sites }, (_none, site) => site);
  return Promise.all(sites.map(async (site) => (await lab.wanBytes(site)).down));
}

/** User and system time of processes so far; 0 for one that has ended. */
export async function cpuSecondsOf(pids: readonly number[]): Promise<number> {
  const all = await Promise.all(pids.map(async (pid) => cpuSecondsOfOne(pid)));
  return all.reduce((sum, seconds) => sum + seconds, 0);
}

/**
 * A program under a shell that says at its end what it used, for programs that end by themselves. `cost`
 * resolves at the end.
 */
export function timed(
  prefix: readonly string[],
  command: readonly string[],
): { readonly child: ChildProcess; readonly cost: Promise<number> } {
  const [file = "bash", ...rest] = [...prefix, "bash", "-c", `"$@"; times`, "timed", ...command];
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "inherit"] });
  return { child, cost: childSeconds(child) };
}

/** The last line of `times`: user and system time of the shell's children, such as 0m1.234s 0m0.056s. */
async function childSeconds(child: ChildProcess): Promise<number> {
  let text = "";
  child.stdout?.on("data", (part) => {
    text += String(part);
  });
  await once(child, "close");
  const last = text.trimEnd().split("\n").at(-1) ?? "";
  return [...last.matchAll(/(\d+)m([\d.]+)s/gu)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds),
    0,
  );
}

async function cpuSecondsOfOne(pid: number): Promise<number> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  } catch {
    return 0;
  }
}

function bitsPerSecond(rate: string): number {
  const found = /^(\d+(?:\.\d+)?)([a-z]+)$/u.exec(rate);
  const unit = RATE_UNITS[found?.[2] ?? ""];
  if (found === null || unit === undefined) throw new Error(`no rate: ${rate}`);
  return Number(found[1]) * unit;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
