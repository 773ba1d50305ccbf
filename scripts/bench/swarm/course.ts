/** The course that every contestant runs: the same offices, the same lines, the same bytes. */
import { readFile } from "node:fs/promises";
import { Lab } from "../../../test/support/lab.ts";

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
  /** CPU seconds of all processes ÷ delivered gigabytes. */
  readonly cpuSecondsPerGb: number;
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
  },
): Figures {
  const bestSeconds = (course.sizeBytes * 8) / bitsPerSecond(course.wan);
  const deliveredGb = (course.sizeBytes * course.sites * course.hosts) / 1e9;
  return {
    time: rounded(measured.seconds / bestSeconds),
    wan: rounded(Math.max(...measured.wanBytes) / course.sizeBytes),
    cpuSecondsPerGb: rounded(measured.cpuSeconds / deliveredGb),
  };
}

export function medianOf(runs: readonly Figures[]): Figures {
  const middle = (of: (figures: Figures) => number): number =>
    runs.map(of).toSorted((one, other) => one - other)[Math.floor(runs.length / 2)] ?? NaN;
  return {
    time: middle(({ time }) => time),
    wan: middle(({ wan }) => wan),
    cpuSecondsPerGb: middle(({ cpuSecondsPerGb }) => cpuSecondsPerGb),
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
